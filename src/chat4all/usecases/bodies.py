"""Bodies of uploads: as they arrive, and what they have to hash to."""

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

ALGORITHMS = ("sha1", "sha256")
"""Of checksums."""

Body = AsyncIterator[bytes]
"""A body as it arrives. Raises `BodyBroken`."""


class BodyBroken(Exception):
    """The client has gone before the end of its body."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the whole body of a request hashes to."""

    algorithm: str
    digest: bytes

    @staticmethod
    def parse(text: str) -> "Checksum":
        """Return a checksum as tus writes it: an algorithm and base64. Raises `ValueError`."""
        algorithm, _, encoded = text.partition(" ")
        if algorithm not in ALGORITHMS:
            raise ValueError(f"the algorithms are {' and '.join(ALGORITHMS)}")
        digest = base64.b64decode(encoded, validate=True)
        if len(digest) != hashlib.new(algorithm).digest_size:
            raise ValueError(f"this is not as long as a {algorithm}")
        return Checksum(algorithm, digest)
