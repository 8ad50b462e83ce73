"""Pictures: what can be said of one, and smaller ones that are safe to show."""

from collections.abc import AsyncIterator
from typing import Protocol

from chat4all.domain.files import PictureFacts


class Pictures(Protocol):
    """Looks at pictures that strangers made.

    `content` are the bytes of one; they need not be read to their end. Every method raises
    `UnreadablePicture` for what is no picture, is broken, or would cost too much, and `Unavailable`
    when there are too many at once.
    """

    async def look(self, content: AsyncIterator[bytes]) -> PictureFacts:
        """Return what is known of a picture."""
        ...

    async def thumbnail(self, content: AsyncIterator[bytes], size: int) -> bytes:
        """Return a WebP that fits into a square of `size` pixels, of the first frame.

        It has none of the picture's metadata: no place, no device, no thumbnail of before a crop.
        """
        ...
