"""The commands, each from its settings to its exit status. They are loaded one at a time, so that `--help` is quick."""
