"""The metadata service: users, conversations, members."""

from chat4all.metadata.app import make_metadata, metadata_routes

__all__ = ["make_metadata", "metadata_routes"]
