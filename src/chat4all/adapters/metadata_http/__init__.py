"""Directory and Sessions by asking the metadata service, and what may be remembered of it."""

from chat4all.adapters.metadata_http.following import Following
from chat4all.adapters.metadata_http.ports import HttpDirectory, HttpOutbox, HttpSessions
from chat4all.adapters.metadata_http.remembering import FollowingDirectory, FollowingSessions
from chat4all.adapters.metadata_http.service import MetadataService

__all__ = [
    "Following",
    "FollowingDirectory",
    "FollowingSessions",
    "HttpDirectory",
    "HttpOutbox",
    "HttpSessions",
    "MetadataService",
]
