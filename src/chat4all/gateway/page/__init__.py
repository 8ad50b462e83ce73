"""The chat page: static files beside the interface that every other client uses."""
