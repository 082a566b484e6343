"""Settings and flags: what the user configures, read and validated once."""
