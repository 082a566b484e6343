"""Image streams: how they are read, imported, looked up and retagged."""
