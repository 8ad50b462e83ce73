"""What an S3 store's refusals mean: which error, and what an operator should change."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from chat4all.adapters.file_store import PUBLIC, PUBLIC_FULL
from chat4all.adapters.network_errors import reason_of
from chat4all.domain.buckets import Bucket
from chat4all.domain.errors import Conflict, NotFound, OutOfSpace, Unavailable

BROKEN = (aiohttp.ClientError, BotoCoreError, OSError, asyncio.TimeoutError)
"""A connection that failed, or brought less than it promised."""


class NoSuchUpload(Conflict):
    """An upload that was finished or given up, or never was."""

    def __init__(self) -> None:
        super().__init__(
            "there is no such upload in the store of files: it was finished or given up"
        )


class OutsideObject(NotFound):
    """A range that begins at the object's end, or after it."""


_ABSENT = {"NoSuchKey", "404", "NotFound"}
_FULL = {
    "QuotaExceeded",
    "InsufficientStorage",
    "InsufficientStorageSpace",
    "StorageFull",
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "507",
}
_CONFLICTS = {
    **dict.fromkeys(
        ("InvalidPart", "InvalidPartOrder", "EntityTooSmall"),
        "the parts of the upload are not the ones that were written",
    ),
    **dict.fromkeys(
        ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"), "there is such a bucket already"
    ),
}
_CREDENTIALS = {
    "InvalidAccessKeyId",
    "XAdminUserNotFound",  # versitygw's, of the same
    "SignatureDoesNotMatch",
    "AccessDenied",
    "AllAccessDisabled",
    "403",
}
_PASSING = {"SlowDown", "RequestTimeout", "BadDigest", "TooManyRequests", "429"}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "301", "IllegalLocationConstraint"}


def is_temporary(error: Exception) -> bool:
    """Say whether the same request may succeed a moment later."""
    if not isinstance(error, ClientError):
        return isinstance(error, BROKEN)
    code, status = _code_and_status(error.response)
    if code in _FULL or status == HTTPStatus.INSUFFICIENT_STORAGE:
        return False
    return code in _PASSING or (status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR


def explained(error: Exception, bucket: Bucket) -> Exception:
    """Return the error of ours that one of a request stands for, without the store's own words."""
    if isinstance(error, ClientError):
        return _refused(error.response, bucket)
    return Unavailable(
        f"{bucket} does not answer ({_reason(error)}): start it, or set CHAT4ALL_S3_ENDPOINT to "
        "where it is",
        PUBLIC,
    )


def _refused(response: Mapping[str, Any], bucket: Bucket) -> Exception:
    code, status = _code_and_status(response)
    if code == "NoSuchUpload":
        return NoSuchUpload()
    if code in _CONFLICTS:
        return Conflict(f"{_CONFLICTS[code]} ({code})")
    if code == "InvalidRange":
        return OutsideObject("the object ends before this range")
    if code in _ABSENT:
        return NotFound("no such object in the store of files")
    if code in _FULL or status == HTTPStatus.INSUFFICIENT_STORAGE:
        return OutOfSpace(
            f"{bucket} has no room left ({code}): free some, or raise the quota of the bucket "
            f"{bucket.name}",
            PUBLIC_FULL,
        )
    return Unavailable(f"{bucket} {_advice(code or str(status), bucket)}", PUBLIC)


def _code_and_status(response: Mapping[str, Any]) -> tuple[str, int | None]:
    code = str(response.get("Error", {}).get("Code", ""))
    return code, response.get("ResponseMetadata", {}).get("HTTPStatusCode")


def _advice(code: str, bucket: Bucket) -> str:
    if code == "NoSuchBucket":
        return f"has no bucket {bucket.name}: make it, or set CHAT4ALL_S3_BUCKET to one that it has"
    if code in _CREDENTIALS:
        return (
            f"refuses these credentials for the bucket {bucket.name} ({code}): check "
            "CHAT4ALL_S3_ACCESS_KEY, CHAT4ALL_S3_SECRET_KEY and what they may do"
        )
    if code in _REGION:
        return (
            f"has the bucket {bucket.name} in another region ({code}): set CHAT4ALL_S3_REGION to "
            "the bucket's"
        )
    if code == "RequestTimeTooSkewed":
        return "has another time than this machine: set both clocks right"
    return f"answers {code}: its own log says why"


def _reason(error: Exception) -> str:
    cause = getattr(error, "kwargs", {}).get("error", error)
    if isinstance(cause, aiohttp.ClientConnectorError):
        return reason_of(cause.os_error)
    if isinstance(cause, OSError):
        return reason_of(cause)
    if "Timeout" in type(error).__name__:
        return reason_of(TimeoutError())
    return "the connection was lost"
