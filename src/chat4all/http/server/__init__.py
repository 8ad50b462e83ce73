"""Serving connections: what one may cost, uvicorn's protocol within that, and the servers."""
