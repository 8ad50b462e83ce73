"""What is done often: trying again with jitter, periodic work, waiting that counts the queue."""
