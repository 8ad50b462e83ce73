"""Creations that a client may repeat, by an `Idempotency-Key`, without creating twice."""

from dataclasses import dataclass

from chat4all.domain.ids import Username

KEPT_SECONDS = 24 * 3600
"""How long a creation is kept, by the database's clock: for so long its key is its own."""


@dataclass(frozen=True, slots=True)
class CreationKey:
    """The key of a request that creates something.

    `scope` is who creates; of a sign-up, who is created. `request_hash` is the SHA-256 of what is
    asked for, without a password.
    """

    scope: Username
    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class KeptCreation:
    """What was created under a key, as JSON, and the hash of the request for it."""

    request_hash: bytes
    created: str
