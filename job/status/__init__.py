"""The status command: what needs attention in a deployment."""
