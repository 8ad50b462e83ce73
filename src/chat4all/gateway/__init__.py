"""The gateway: what clients talk to."""
