"""The container image, built and run on this machine without a container engine's daemon, and without a network.

A Debian base of its own stands in for the base that the Containerfile names; buildah builds on it; what it built runs
from its root file system as a pod's container would: read-only, and with a user that nobody knows.
"""
