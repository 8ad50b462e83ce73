"""The router process: consume, route, commit."""
