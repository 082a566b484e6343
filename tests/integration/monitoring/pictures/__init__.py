"""Pictures of the dashboard, drawn by Perses in a browser from a real Prometheus: `make screenshots`."""
