"""Tests of single modules: nothing outside the process but a local HTTP server, and nothing that sleeps."""
