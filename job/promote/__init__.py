"""The step before a run: move `stable` branches, wait for the images built from those commits, write release notes.

It runs on a workstation. It needs the `git` program; it needs the cluster only for questions about images.
"""
