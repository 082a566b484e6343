"""A small OpenShift on one machine.

The image API and the part of Kubernetes that an import job touches, served over plain HTTP on the loopback interface,
with faults on demand. `python -m tests.sandbox` starts it; `tests.sandbox.client` does so for tests.
"""
