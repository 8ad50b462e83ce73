"""The metadata service: users, conversations, members."""

from chat4all.metadata.app import make_metadata, metadata_routes
from chat4all.metadata.internal import InternalEndpoint

__all__ = ["InternalEndpoint", "make_metadata", "metadata_routes"]
