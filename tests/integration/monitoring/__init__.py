"""Dashboards and alerts, held against what the job says of itself and against a real Prometheus."""
