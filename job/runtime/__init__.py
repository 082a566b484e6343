"""The process itself: threads, retries, shutdown, logs, the terminal and the standard streams."""
