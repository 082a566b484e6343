"""The step before a run: move `stable` branches, wait for the images of exactly those commits, tell what went out.

It runs on a workstation: it needs the `git` program, and the cluster only for what it says of images.
"""
