"""What builds the documentation: generated tables, and the pages and links that lie outside of `docs/`."""
