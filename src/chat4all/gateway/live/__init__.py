"""Live delivery: from the feed to the clients that are connected."""
