"""The check of the store of files: all that a gateway does there, with an object of its own."""

import uuid
from collections.abc import AsyncIterator
from contextlib import suppress

from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.findings import Finding, Status
from chat4all.domain.errors import Chat4AllError, Conflict, NotFound, Unavailable
from chat4all.ports.blobs import Blobs
from chat4all.processes.cluster import opened_blobs

_CONTENT = b"written by chat4all doctor"
_TYPE = "text/plain"


async def store_of_files(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that the bucket answers, and that an object can be written, read and deleted."""
    settings = cluster.settings.files
    async with opened_blobs(settings) as blobs:
        if settings.s3 is None or blobs is None:
            yield Finding(
                Status.OK,
                "none is set here: a gateway without CHAT4ALL_S3_ENDPOINT answers uploads with 501",
            )
            return
        await blobs.ping()
        key = f"doctor/{uuid.uuid4()}"
        try:
            async for trouble in _troubles(blobs, key):
                yield Finding(Status.PROBLEM, trouble)
                return
        finally:
            with suppress(Chat4AllError):
                await blobs.delete([key])
    yield Finding(
        Status.OK,
        f"{settings.s3.endpoint} has the bucket {settings.s3.name}; an object was written, read "
        "and deleted",
    )


async def _troubles(blobs: Blobs, key: str) -> AsyncIterator[str]:
    """Yield what cannot be done, in a sentence that says what to change."""
    doing = "an upload cannot be begun"
    try:
        given_up = await blobs.begin(key, _TYPE)
        doing = "an upload cannot be given up"
        await blobs.abort(key, given_up)
        doing = "an object cannot be written"
        upload = await blobs.begin(key, _TYPE)
        part = await blobs.write(key, upload, 1, [_CONTENT])
        await blobs.finish(key, upload, [part])
        doing = "an object cannot be read"
        if b"".join([piece async for piece in blobs.read(key)]) != _CONTENT:
            yield f"{doing}: it has other bytes than were written; see the store's own log"
        doing = "an object cannot be deleted"
        await blobs.delete([key])
    except (Unavailable, Conflict, NotFound) as error:
        yield f"{doing}: {error}"
