"""What an S3 store's refusals become, and that nobody is told a secret."""

import logging

import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from chat4all.adapters.s3 import S3Blobs
from chat4all.adapters.s3.failing import NoSuchUpload, OutsideObject, explained, is_temporary
from chat4all.domain.buckets import Bucket
from chat4all.domain.errors import Conflict, NotFound, OutOfSpace, Unavailable
from chat4all.logs import quieten_libraries

URL = "http://minio:9000"
BUCKET = Bucket(URL, "pictures", "us-east-1", "the-access-key", "the-secret-key")


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "the-access-key is not known"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "PutObject",
    )


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("NoSuchUpload", 404, NoSuchUpload),
        ("InvalidPart", 400, Conflict),
        ("InvalidPartOrder", 400, Conflict),
        ("EntityTooSmall", 400, Conflict),
        ("BucketAlreadyOwnedByYou", 409, Conflict),
        ("NoSuchKey", 404, NotFound),
        ("404", 404, NotFound),
        ("InvalidRange", 416, OutsideObject),
        ("QuotaExceeded", 403, OutOfSpace),
        ("XMinioStorageFull", 507, OutOfSpace),
        ("SomethingNew", 507, OutOfSpace),
        ("SlowDown", 503, Unavailable),
        ("InternalError", 500, Unavailable),
        ("BadDigest", 400, Unavailable),
        ("PreconditionFailed", 412, Unavailable),
    ],
)
def test_a_refusal_is_an_error_of_ours(code: str, status: int, expected: type[Exception]) -> None:
    error = explained(refusal(code, status), BUCKET)
    assert type(error) is expected
    assert "the-access-key" not in str(error)
    if isinstance(error, Unavailable):
        assert str(error).startswith("the S3 store at http://minio:9000 ")
        assert error.public is not None
        assert "minio" not in error.public


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("NoSuchBucket", "has no bucket pictures: make it, or set CHAT4ALL_S3_BUCKET"),
        ("InvalidAccessKeyId", "check CHAT4ALL_S3_ACCESS_KEY, CHAT4ALL_S3_SECRET_KEY"),
        ("SignatureDoesNotMatch", "check CHAT4ALL_S3_ACCESS_KEY, CHAT4ALL_S3_SECRET_KEY"),
        ("AccessDenied", "refuses these credentials for the bucket pictures"),
        ("AuthorizationHeaderMalformed", "set CHAT4ALL_S3_REGION to the bucket's"),
        ("RequestTimeTooSkewed", "set both clocks right"),
        ("QuotaExceeded", "raise the quota of the bucket pictures"),
        ("SlowDown", "answers SlowDown"),
    ],
)
def test_the_log_says_what_to_change(code: str, advice: str) -> None:
    assert advice in str(explained(refusal(code, 403), BUCKET))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            EndpointConnectionError(
                endpoint_url=URL, error=ConnectionRefusedError(111, "Connection refused")
            ),
            "Connection refused",
        ),
        (ReadTimeoutError(endpoint_url=URL, error=TimeoutError()), "no answer in time"),
        (TimeoutError(), "no answer in time"),
        (
            ConnectionClosedError(endpoint_url=URL, error=aiohttp.ServerDisconnectedError()),
            "the connection was lost",
        ),
        (aiohttp.ClientPayloadError("short"), "the connection was lost"),
    ],
)
def test_a_store_that_does_not_answer_is_named_with_its_setting(
    error: Exception, reason: str
) -> None:
    found = explained(error, BUCKET)
    assert isinstance(found, Unavailable)
    assert str(found) == (
        f"the S3 store at {URL} does not answer ({reason}): start it, or set "
        "CHAT4ALL_S3_ENDPOINT to where it is"
    )


@pytest.mark.parametrize(
    ("error", "temporary"),
    [
        (refusal("InternalError", 500), True),
        (refusal("", 502), True),
        (refusal("SlowDown", 503), True),
        (refusal("BadDigest", 400), True),  # damaged on the way
        (refusal("XMinioStorageFull", 507), False),
        (refusal("", 507), False),
        (refusal("AccessDenied", 403), False),
        (refusal("NoSuchUpload", 404), False),
        (TimeoutError(), True),
        (ConnectionClosedError(endpoint_url=URL), True),
        (ValueError(), False),
    ],
)
def test_what_passes_is_tried_again(error: Exception, temporary: bool) -> None:
    assert is_temporary(error) is temporary


def test_nothing_shows_the_secrets() -> None:
    blobs = S3Blobs(BUCKET)
    shown = f"{BUCKET!r} {BUCKET} {blobs!r}"
    assert "the-secret-key" not in shown
    assert "the-access-key" not in shown


@pytest.mark.anyio
async def test_signatures_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """They are as good as the URLs that they are in."""
    caplog.set_level(logging.DEBUG)
    quieten_libraries()
    store = S3Blobs(BUCKET)
    await store.open()
    try:
        await store.part_urls("ab/cd", "the-upload", {1: 100}, 60)
    finally:
        await store.close()
    logged = "".join(str(record.__dict__) for record in caplog.records)
    assert "Signature" not in logged
    assert "the-upload" not in logged
