"""The commands about single tags, and the run itself."""
