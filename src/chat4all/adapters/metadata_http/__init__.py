"""Users, conversations, sessions and files by asking the metadata service."""

from chat4all.adapters.metadata_http.files import HttpFiles, HttpUploads
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
    "HttpFiles",
    "HttpMemberships",
    "HttpOutbox",
    "HttpSessions",
    "HttpUploads",
    "HttpUsers",
    "MetadataService",
    "SameSecret",
    "http_people",
]
