"""A cache of sessions."""

from collections.abc import Mapping, Sequence
from typing import Any

from chat4all.adapters.caching.cache import Cache
from chat4all.adapters.caching.following import OutboxFollower
from chat4all.adapters.interposing import Call, ending_with, interposed
from chat4all.domain.ids import SessionId
from chat4all.domain.people import Session
from chat4all.ports.outbox import Subject
from chat4all.ports.sessions import Rotation, Sessions


def cached_sessions(sessions: Sessions, follower: OutboxFollower) -> Sessions:
    """Return the sessions, with `get` and `get_each` answered from one cache."""
    cache = Cache[SessionId, Session | None](sessions.get, Subject.SESSION, follower)

    def started(session: Session, *_: Any, **__: Any) -> None:
        cache.drop(session.session_id)

    def ended(session: SessionId, *_: Any, **__: Any) -> None:
        cache.drop(session)

    def of_each(load: Call) -> Call:
        async def get_each(sessions: Sequence[SessionId]) -> Mapping[SessionId, Session]:
            found = await cache.get_each(sessions, load)
            return {session: one for session, one in found.items() if one is not None}

        return get_each

    def rotate(call: Call) -> Call:
        async def rotated(*arguments: Any, **options: Any) -> Rotation:
            rotation: Rotation = await call(*arguments, **options)
            if rotation.ended is not None:
                cache.drop(rotation.ended)
            elif rotation.session is not None:
                cache.drop(rotation.session.session_id)
            return rotation

        return rotated

    return interposed(
        sessions,
        {
            "get": lambda _: cache.get,
            "get_each": of_each,
            "start": ending_with(started),
            "rotate": rotate,
            "end": ending_with(ended),
        },
    )
