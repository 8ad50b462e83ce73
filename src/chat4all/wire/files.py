"""What clients receive about files."""

from typing import Annotated

import msgspec
from msgspec import Meta


class FileLinkView(msgspec.Struct):
    """A link to a file, for one user, that needs no token."""

    url: Annotated[str, Meta(description="A path on this gateway, or any other.")]
    expires_at: Annotated[str, Meta(examples=["2026-01-31T12:00:00.000Z"])]
