"""A cache of sessions."""

from typing import Any

from chat4all.adapters.caching.cache import Cache
from chat4all.adapters.caching.following import OutboxFollower
from chat4all.adapters.interposing import Call, ending_with, interposed
from chat4all.domain.ids import SessionId
from chat4all.domain.people import Session
from chat4all.ports.outbox import Subject
from chat4all.ports.sessions import Rotation, Sessions


def cached_sessions(sessions: Sessions, follower: OutboxFollower) -> Sessions:
    """Return the sessions, with `get` answered from a cache."""
    cache = Cache[SessionId, Session | None](sessions.get, Subject.SESSION, follower)

    def started(session: Session, *_: Any, **__: Any) -> None:
        cache.drop(session.session_id)

    def ended(session: SessionId, *_: Any, **__: Any) -> None:
        cache.drop(session)

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
            "start": ending_with(started),
            "rotate": rotate,
            "end": ending_with(ended),
        },
    )
