"""Attacks: hostile repositories, clusters, gateways and texts; each must end without harm and with a clear message."""
