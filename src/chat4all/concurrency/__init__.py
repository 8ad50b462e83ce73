"""Retries with jitter, periodic work, bounded waiting, and logging outages."""
