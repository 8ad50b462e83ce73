"""Live delivery: what the feed announces, on its way to the people who are connected."""
