"""`GET /v1/conversations/{id}/events`: one conversation as server-sent events.

For clients that cannot have a socket. The frames are the same; an event's id is its position, so
that `Last-Event-ID` resumes. Of a store that is not known to be the first one the id has its
generation too: `12.0@<generation>`.
"""

import asyncio
import re
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from chat4all.domain.errors import (
    FieldError,
    InvalidInput,
    NotSignedIn,
    Overloaded,
    Unavailable,
)
from chat4all.domain.ids import UUID_PATTERN, ConversationId, Username, conversation_id
from chat4all.domain.people import Session
from chat4all.domain.position import Position
from chat4all.gateway.live.codes import CloseCode
from chat4all.gateway.live.connections import Wrap
from chat4all.gateway.live.followers import Follower, Followers
from chat4all.gateway.live.outgoing import PASSING_MAX, ROOM_SECONDS, WAITING_MAX
from chat4all.gateway.live.resuming import Asked, Resuming
from chat4all.http.access_log import CALLER
from chat4all.http.bearer import bearer_token
from chat4all.http.fast_routes import FastRoute
from chat4all.http.limits import Limit
from chat4all.http.problems import problem_response
from chat4all.http.server.limits import CONNECTIONS_MAX
from chat4all.http.server.open_files import PORTS_MAX, files_for_http
from chat4all.ports.generation import Generation
from chat4all.usecases.reading import Reading
from chat4all.usecases.signing_in import SigningIn
from chat4all.wire.frames import Heartbeat

EVENTS_PATH = "/v1/conversations/{conversation_id}/events"

COMMENT_SECONDS = 15.0
"""After so much silence a comment is sent, so that nothing in between takes it for dead."""

COMMENT = b":\n\n"

STREAMS_SHARE = 4
"""A quarter of the HTTP connections of a port at most are streams."""

STREAMS_OF_USER_MAX = 20

OF_GENERATION = "@"
"""What is between the position and the generation in the id of an event."""

_PATH = re.compile(EVENTS_PATH.format(conversation_id=f"({UUID_PATTERN[1:-1]})"))
_HEADERS = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]


def as_event(payload: bytes, position: str) -> bytes:
    """Return a frame as an event; see `Wrap`. JSON has no line breaks of its own."""
    identified = b"id: " + position.encode() + b"\n" if position else b""
    return identified + b"data: " + payload + b"\n\n"


@lru_cache(maxsize=2)
def as_events_of(generation: str) -> Wrap:
    """Return an `as_event` whose ids name their generation, as those of the first one do not."""
    suffix = OF_GENERATION + generation

    def as_event_of(payload: bytes, position: str) -> bytes:
        return as_event(payload, position + suffix if position else "")

    return as_event_of


class LastEvent(NamedTuple):
    """The last event that a client has."""

    position: Position
    generation: str | None


class Stream:
    """What waits for one stream; see `LiveSocket`."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._size = 0
        """Bytes that wait, without those of a replay."""
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self.is_open = True

    @property
    def has_room(self) -> bool:
        """Whether less than half of `WAITING_MAX` is waiting."""
        return self._size < PASSING_MAX

    @property
    def has_drained(self) -> bool:
        """Whether everything is taken."""
        return not self._waiting

    def write(self, frames: bytes) -> None:
        """Let frames wait; too many end the stream."""
        if not self.is_open:
            return
        if self._size + len(frames) > WAITING_MAX:
            self.close(CloseCode.TOO_SLOW)
            return
        self._add(frames)

    def write_passing(self, frames: bytes) -> bool:
        """Let frames wait, unless much does already."""
        if not self.is_open or self._size + len(frames) > PASSING_MAX:
            return False
        self._add(frames)
        return True

    async def room(self) -> None:
        """Wait until everything is taken. Raises `ConnectionError`."""
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                while self._waiting and self.is_open:
                    self._taken.clear()
                    await self._taken.wait()
        except TimeoutError:
            self.close(CloseCode.TOO_SLOW)
        if not self.is_open:
            raise ConnectionError

    def write_part(self, frames: bytes) -> None:
        """Let a part of a replay wait; it ends no stream."""
        if self.is_open:
            self._waiting.append(frames)
            self._changed.set()

    def close(self, code: int, reason: str = "") -> None:  # noqa: ARG002 - a stream has no codes
        """End the stream after what waits."""
        self.is_open = False
        self._changed.set()
        self._taken.set()

    async def next(self, seconds: float) -> bytes | None:
        """Return what waits, or a comment after so many seconds; None at the end."""
        try:
            async with asyncio.timeout(seconds):
                while not self._waiting and self.is_open:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return COMMENT
        waited = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        self._taken.set()
        return waited or None

    def _add(self, frames: bytes) -> None:
        self._waiting.append(frames)
        self._size += len(frames)
        self._changed.set()


def events_route(
    signing_in: SigningIn,
    reading: Reading,
    followers: Followers,
    resuming: Resuming,
    generation: Generation,
    rate: Limit,
) -> FastRoute:
    """Return the route of streams."""
    endpoint = _EventsEndpoint(signing_in, reading, followers, resuming, generation, rate)
    return FastRoute(EVENTS_PATH, "GET", endpoint)


class _EventsEndpoint:
    def __init__(
        self,
        signing_in: SigningIn,
        reading: Reading,
        followers: Followers,
        resuming: Resuming,
        generation: Generation,
        rate: Limit,
    ) -> None:
        self._signing_in = signing_in
        self._reading = reading
        self._followers = followers
        self._resuming = resuming
        self._generation = generation
        self._rate = rate
        self._most = max(1, int(min(CONNECTIONS_MAX, files_for_http() / PORTS_MAX) / STREAMS_SHARE))
        self._open: Counter[Username] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer with a stream that lasts until one side ends it, or with a problem; or decline."""
        path = _PATH.fullmatch(scope["path"])
        if path is None:
            return False
        try:
            session = await self._signing_in.authenticate(bearer_token(scope))
            scope[CALLER] = session
            self._rate.take(scope, session.username)
            conversation, last = conversation_id(path[1]), _last_event_id(scope)
            await self._reading.members(session.username, conversation)
            generation = await self._generation.current()
            self._count(session.username)
        except Exception as error:
            await problem_response(error, scope["path"])(scope, receive, send)
            return True
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
            if scope["method"] == "GET":  # by now it would say so if it were HEAD
                await self._stream(scope, conversation, last, generation, receive, send)
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._open -= Counter([session.username])
        return True

    def _count(self, username: Username) -> None:
        if self._open.total() >= self._most:
            raise Overloaded("too many streams")
        if self._open[username] >= STREAMS_OF_USER_MAX:
            raise Overloaded("this user has too many streams")
        self._open[username] += 1

    async def _stream(
        self,
        scope: Scope,
        conversation: ConversationId,
        last: LastEvent | None,
        generation: str,
        receive: Receive,
        send: Send,
    ) -> None:
        if self._followers.is_ending:
            return  # an error would keep browsers from connecting again
        stream = Stream()
        session: Session = scope[CALLER]
        first = self._generation.first
        wrap = as_event if generation == first else as_events_of(generation)
        follower = Follower(stream, wrap, session, only=conversation)
        self._followers.enter(follower)
        gone = asyncio.create_task(_end_with(receive, stream))
        try:
            asked = Asked({})
            if last is not None:
                claimed = last.generation or first
                is_other = claimed is not None and claimed != generation
                asked = Asked({conversation: last.position}, is_other)
                if not is_other:
                    # The first event has an id, whatever follows.
                    follower.say(Heartbeat(), last.position)
            # The session's end is heard of from here on; it may have come meanwhile.
            await self._signing_in.authenticate(bearer_token(scope))
            self._resuming.begin(follower, asked)
            while (chunk := await stream.next(COMMENT_SECONDS)) is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except (NotSignedIn, Unavailable):
            pass  # it ends; its client asks again and is told
        finally:
            stream.close(CloseCode.GOING_AWAY)
            gone.cancel()
            self._resuming.forget(follower)
            self._followers.leave(follower)


async def _end_with(receive: Receive, stream: Stream) -> None:
    """End a stream when its client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.close(CloseCode.GOING_AWAY)


def _last_event_id(scope: Scope) -> LastEvent | None:
    for name, value in scope["headers"]:
        if name == b"last-event-id" and value:
            try:
                position, _, generation = value.decode("latin-1").partition(OF_GENERATION)
                return LastEvent(Position.parse(position), generation or None)
            except ValueError as error:
                raise InvalidInput([FieldError("/header/Last-Event-ID", str(error))]) from None
    return None
