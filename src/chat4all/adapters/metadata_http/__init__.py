"""Users, conversations and sessions by asking the metadata service."""

from chat4all.adapters.metadata_http.people import (
    HttpDirectory,
    HttpMemberships,
    HttpOutbox,
    HttpSessions,
    HttpUsers,
    http_people,
)
from chat4all.adapters.metadata_http.same_secret import SECRETS_DIFFER, SameSecret
from chat4all.adapters.metadata_http.service import MetadataService

__all__ = [
    "SECRETS_DIFFER",
    "HttpDirectory",
    "HttpMemberships",
    "HttpOutbox",
    "HttpSessions",
    "HttpUsers",
    "MetadataService",
    "SameSecret",
    "http_people",
]
