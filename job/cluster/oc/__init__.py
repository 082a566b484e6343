"""The cluster by the openshift-client package and the user's own `oc` or `kubectl` login."""
