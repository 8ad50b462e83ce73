"""The metadata service: users, conversations, members."""

from chat4all.metadata.app import MetadataUseCases, metadata_app, metadata_routes, metadata_uses
from chat4all.metadata.internal import InternalEndpoint

__all__ = [
    "InternalEndpoint",
    "MetadataUseCases",
    "metadata_app",
    "metadata_routes",
    "metadata_uses",
]
