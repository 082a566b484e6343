"""The job against a loop of `kubectl create`, which is how one imports without it: `python -m tests.bench`."""
