"""The check of what looks at pictures, for either kind of installation."""

from collections.abc import AsyncIterator

from chat4all.adapters.pictures import LimitedPictures
from chat4all.doctor.findings import Finding, Status
from chat4all.domain.errors import Unavailable, UnreadablePicture

PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    b"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""A picture of one pixel."""


async def pictures(_: object) -> AsyncIterator[Finding]:
    """Check that the process can be started that looks at pictures."""
    try:
        await LimitedPictures().look(_pixel())
    except (Unavailable, UnreadablePicture) as error:
        yield Finding(
            Status.PROBLEM,
            f"pictures get no thumbnails: {error}",
            "install Chat4All anew with all that it needs, or let it start processes of 1 GiB",
        )
    else:
        yield Finding(Status.OK, "they can be looked at")


async def _pixel() -> AsyncIterator[bytes]:
    yield PIXEL
