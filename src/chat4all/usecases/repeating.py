"""Create once, however often a client asks with the same `Idempotency-Key`."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import msgspec

from chat4all.domain.creations import CreationKey
from chat4all.domain.errors import Conflict, FieldError, InvalidInput, Refused
from chat4all.domain.ids import Username
from chat4all.ports.creations import Creations

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="deterministic")


def creation_key(scope: Username, key: str | None, *request: object) -> CreationKey | None:
    """Return the key of a request; None for a request that has none.

    `request` is what is asked for, without a password: its hash would be easy to guess from.
    """
    if key is None:
        return None
    return CreationKey(scope, key, hashlib.sha256(_encoder.encode(request)).digest())


def another_request() -> InvalidInput:
    """Return the refusal of a key that was used for something else."""
    detail = "this key was used for another request: use a new one"
    return InvalidInput([FieldError("/header/Idempotency-Key", detail)])


class Repeating(Generic[T]):
    """Creates things of one type, or returns what was created before under the same key."""

    def __init__(self, creations: Creations, shape: type[T]) -> None:
        self._creations = creations
        self._decoder = msgspec.json.Decoder(shape)
        self._in_flight: set[tuple[Username, str]] = set()

    async def once(
        self,
        key: CreationKey | None,
        create: Callable[[], Awaitable[T]],
        may_repeat: Callable[[T], Awaitable[None]],
    ) -> T:
        """Return what `create` makes, or made under this key before.

        `create` keeps it in its transaction. `may_repeat` raises for a caller who may not do it any
        more. Raises `InvalidInput` for a key of another request, and `Conflict` while the same
        request is in flight in this process.
        """
        if key is None:
            return await create()
        with self._alone(key):
            found = await self._find(key)
            if found is None:
                try:
                    return await create()
                except Refused:
                    # Perhaps by what the same request created meanwhile, elsewhere.
                    found = await self._find(key)
                    if found is None:
                        raise
            (created,) = found
            await may_repeat(created)
            return created

    @contextmanager
    def _alone(self, key: CreationKey) -> Iterator[None]:
        name = (key.scope, key.key)
        if name in self._in_flight:
            raise Conflict("a request with this Idempotency-Key is in flight: try again later")
        self._in_flight.add(name)
        try:
            yield
        finally:
            self._in_flight.discard(name)

    async def _find(self, key: CreationKey) -> tuple[T] | None:
        # A tuple: what was created may be None.
        kept = await self._creations.find(key.scope, key.key)
        if kept is None:
            return None
        if kept.request_hash != key.request_hash:
            raise another_request()
        return (self._decoder.decode(kept.created),)
