"""What is done often: retries with jitter, periodic work, bounded waiting, logging an outage."""
