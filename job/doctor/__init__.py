"""The doctor command: what will go wrong, and the command that fixes it."""
