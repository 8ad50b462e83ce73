"""Users, Directory and Sessions by asking the metadata service."""

from chat4all.adapters.metadata_http.ports import (
    HttpDirectory,
    HttpMemberships,
    HttpOutbox,
    HttpSessions,
    HttpUsers,
)
from chat4all.adapters.metadata_http.service import MetadataService

__all__ = [
    "HttpDirectory",
    "HttpMemberships",
    "HttpOutbox",
    "HttpSessions",
    "HttpUsers",
    "MetadataService",
]
