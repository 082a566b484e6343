"""import-images: import the image stream tags of a deployment, and report truthfully what happened."""

VERSION = "0.1.0"
