"""The journal: what a namespace remembers of its runs, and the ConfigMap that holds it."""
