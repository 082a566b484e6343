"""What happens to a report: termination message, journal, metrics and Events."""
