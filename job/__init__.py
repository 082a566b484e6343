"""import-images: import the image stream tags of a deployment, and tell the truth about it."""

VERSION = "0.1.0"
