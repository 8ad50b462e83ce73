"""One socket's client: what it says is done in order, one frame at a time."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from chat4all.concurrency.keyed import KeyedWork
from chat4all.domain.errors import (
    FieldError,
    InvalidInput,
    NotSignedIn,
    Overloaded,
    TooMany,
)
from chat4all.domain.events import Typing
from chat4all.domain.ids import ConversationId, Username, conversation_id
from chat4all.domain.people import Session
from chat4all.domain.position import Position
from chat4all.domain.times import now_utc
from chat4all.gateway.live.changing_frames import CHANGES, Change
from chat4all.gateway.live.codes import CloseCode
from chat4all.gateway.live.connections import LiveCredentials, LiveSocket, Wrap
from chat4all.gateway.live.followers import Follower, Followers
from chat4all.gateway.live.handshake import PATH
from chat4all.gateway.live.hints import MembershipHints
from chat4all.gateway.live.lanes import Lanes, LaneWork
from chat4all.gateway.live.resuming import Asked, Resuming
from chat4all.gateway.live.timing import FIRST_SECONDS
from chat4all.gateway.live.typing_members import TypingMembers
from chat4all.gateway.live.watching import Watching
from chat4all.gateway.sending import read_draft
from chat4all.http import outcomes
from chat4all.http.access_log import CALLER
from chat4all.http.json_bodies import BodyReader
from chat4all.http.limits import Limits
from chat4all.http.problems import BadRequest, describe
from chat4all.ports.generation import Generation
from chat4all.usecases.changing import Changing
from chat4all.usecases.marking import Marking
from chat4all.usecases.sending import Sending
from chat4all.usecases.signing_in import SigningIn
from chat4all.wire.client_frames import (
    Auth,
    Envelope,
    MalformedFrame,
    MarkAsRead,
    Resume,
    SayTyping,
    Watch,
    envelope,
)
from chat4all.wire.frames import (
    FRAME_MAX,
    HEARTBEAT_SECONDS,
    RESUME_MAX,
    AcceptedFrame,
    ErrorFrame,
    Hello,
    ServerFrame,
    encode_frame,
)

FRAMES_MAX = 256
"""Frames of one client that may wait or be done."""

BYTES_MAX = 4 * FRAME_MAX

TYPING_SECONDS = 2.0
"""How often a client is believed to go on typing."""

POSITIONS_MAX = 20_000
"""Of one resume."""

POSITIONS_SECONDS = 30.0
"""Within which the last frame of a resume must come."""

_ADVICE = {"read": outcomes.MARKER} | dict.fromkeys(CHANGES, outcomes.EDIT)
"""What is right when the outcome is unknown; see `outcomes`."""

_auth = BodyReader(Auth)
_resume = BodyReader(Resume)
_read = BodyReader(MarkAsRead)
_typing = BodyReader(SayTyping)
_watch = BodyReader(Watch)


@dataclass(frozen=True, slots=True)
class ClientParts:
    """What all clients have in common. `accepted` is called for every message that is accepted."""

    signing_in: SigningIn
    sending: Sending
    changing: Changing
    marking: Marking
    limits: Limits
    followers: Followers
    resuming: Resuming
    typing: TypingMembers
    watching: Watching
    hints: MembershipHints
    accepted: Callable[[], None]
    wrap: Wrap
    generation: Generation


class LiveClient:
    """The client of one socket; see `SocketClient`. `work` does what it said."""

    def __init__(
        self,
        parts: ClientParts,
        work: "KeyedWork[LiveClient]",
        lane_work: LaneWork,
        socket: LiveSocket,
        credentials: LiveCredentials,
        gone: "Callable[[LiveClient], None]",
    ) -> None:
        self._parts = parts
        self._work = work
        self._socket = socket
        self._scope = credentials.scope
        self._token = credentials.token
        self._gone = gone
        self._since = time.monotonic()
        self._frames: deque[bytes] = deque()
        self._lanes = Lanes(lane_work, self._do_and_answer)
        self._waiting = self._bytes = 0
        """Frames that wait or are being done, and how large they are."""
        self._follower: Follower | None = None
        self._said_hello = False
        self._generation = ""
        """As `hello` says it."""
        self._token_came = self._token is not None
        self._typed: Typing | None = None
        self._typed_at = 0.0
        self._positions: dict[ConversationId, Position] = {}
        self._positions_since = 0.0
        self._are_of_another_generation = False
        if self._token is not None:
            work.mark(self)

    def received(self, frame: bytes) -> None:
        """Take a frame; it is done after those before it."""
        if not self._socket.is_open:
            return
        if self._waiting >= FRAMES_MAX or self._bytes + len(frame) > BYTES_MAX:
            self._frames.clear()
            self._lanes.clear()
            self._refuse(TooMany("too many frames wait", 1.0))
            self._socket.close(CloseCode.TOO_MANY_FRAMES, "too many frames")
            return
        self._frames.append(frame)
        self._waiting += 1
        self._bytes += len(frame)
        self._work.mark(self)

    def closed(self) -> None:
        """End everything that is under way for this client."""
        self._frames.clear()
        self._lanes.close()
        self._work.forget(self)
        if self._follower is not None:
            self._parts.resuming.forget(self._follower)
            self._parts.watching.forget(self._follower)
            self._parts.followers.leave(self._follower)
        self._gone(self)

    def check(self, now: float) -> None:
        """Close a socket that has not signed in, or not ended its resume frames, in time."""
        if self._positions and now - self._positions_since >= POSITIONS_SECONDS:
            self._positions.clear()
            self._socket.close(CloseCode.TOO_SLOW, "a resume did not arrive whole within 30 s")
        if self._said_hello or now - self._since < FIRST_SECONDS:
            return
        if self._token_came:
            self._socket.close(CloseCode.FAILED, "signing in takes too long")
        else:
            self._socket.close(CloseCode.NOT_SIGNED_IN, "no token came in time")

    async def do(self) -> None:
        """Do what was said, in order; that of conversations in which a reply waits beside it."""
        if self._follower is None and self._token is not None:
            token, self._token = self._token, None
            await self._answer(None, self._sign_in(token))
        while self._frames and self._socket.is_open:
            frame = self._frames.popleft()
            try:
                said = envelope(frame)
            except MalformedFrame as error:
                self._socket.close(CloseCode.NOT_UNDERSTOOD, str(error)[:100])
                return
            if not self._lanes.take(said, frame):
                await self._do_and_answer(said, frame)

    async def _do_and_answer(self, said: Envelope, frame: bytes) -> None:
        try:
            if self._socket.is_open:
                await self._answer(said.ref, self._do(said.type, frame, said.ref), said.type)
        finally:
            # Not before: any number of lanes would each have a frame that is not counted.
            self._waiting -= 1
            self._bytes -= len(frame)

    async def _do(self, kind: str, frame: bytes, ref: str | None) -> None:
        if kind == "auth":
            token = _auth.read(frame).token
            self._token_came = True
            await self._sign_in(token)
            return
        if self._follower is None:
            raise NotSignedIn("send a token first")
        match kind:
            case "resume":
                self._parts.resuming.require_first(self._follower)
                self._begin_resume(self._follower, _resume.read(frame))
            case "send":
                await self._send(self._follower.session, frame, ref)
            case "edit" | "delete" | "react" | "unreact":
                await self._change(self._follower.username, CHANGES[kind], frame, ref)
            case "typing":
                await self._say_typing(self._follower.session, _typing.read(frame))
            case "watch":
                self._parts.limits.list.take({}, self._follower.username)
                self._parts.watching.watch(self._follower, _watch.read(frame).usernames)
            case "read":
                await self._mark(self._follower.session, _read.read(frame))
            case _:
                raise InvalidInput([FieldError("/type", "there is no such frame")])

    async def _sign_in(self, token: str) -> None:
        session = await self._parts.signing_in.authenticate(token)
        if not self._socket.is_open:
            return
        self._scope[CALLER] = session
        if self._follower is None:
            self._follower = Follower(self._socket, self._parts.wrap, session)
            self._parts.followers.enter(self._follower)
        elif self._follower.username != session.username:
            raise NotSignedIn("this token is another user's")
        else:
            self._parts.followers.renew(self._follower, session)
        # Its end is heard of from here on; it may have come while the session was looked up.
        await self._parts.signing_in.authenticate(token)
        self._generation = await self._parts.generation.current()
        self._said_hello = True
        self._say(
            Hello(
                session.username,
                session.session_id,
                now_utc(),
                HEARTBEAT_SECONDS,
                FRAME_MAX,
                RESUME_MAX,
                self._generation,
            )
        )

    def _begin_resume(self, follower: Follower, frame: Resume) -> None:
        if not self._positions:
            self._positions_since = time.monotonic()
        self._positions.update(_read_positions(frame.positions))
        if len(self._positions) > POSITIONS_MAX:
            self._positions.clear()
            raise InvalidInput([FieldError("/positions", f"at most {POSITIONS_MAX} in all")])
        if frame.generation is not None and frame.generation != self._generation:
            self._are_of_another_generation = True
        if frame.more:
            return
        positions, self._positions = self._positions, {}
        self._parts.resuming.begin(follower, Asked(positions, self._are_of_another_generation))

    async def _send(self, session: Session, frame: bytes, ref: str | None) -> None:
        self._parts.limits.send.take({}, session.username)
        draft = read_draft(frame)
        accepted = await self._parts.sending.send(session.username, draft)
        self._parts.accepted()
        self._say(AcceptedFrame(ref, accepted))

    async def _change(
        self, author: Username, change: Change, frame: bytes, ref: str | None
    ) -> None:
        self._parts.limits.send.take({}, author)
        made = await change(self._parts.changing, author, frame)
        self._say(AcceptedFrame(ref, change_id=made))

    async def _say_typing(self, session: Session, frame: SayTyping) -> None:
        self._parts.limits.mark.take({}, session.username)
        typing = Typing(conversation_id(frame.conversation_id), session.username)
        now = time.monotonic()
        if self._typed != typing or now - self._typed_at >= TYPING_SECONDS:
            self._typed, self._typed_at = typing, now
            await self._parts.typing.say(typing)

    async def _mark(self, session: Session, frame: MarkAsRead) -> None:
        self._parts.limits.mark.take({}, session.username)
        conversation = conversation_id(frame.conversation_id)
        await self._parts.marking.read(session.username, conversation, frame.seq)

    async def _answer(self, ref: str | None, doing: Awaitable[None], kind: str = "auth") -> None:
        """Do one thing; what it raises is answered, and closes the socket where it must."""
        try:
            await doing
        except Exception as error:
            self._refuse(error, ref, _ADVICE.get(kind))
            if isinstance(error, NotSignedIn):
                self._socket.close(CloseCode.NOT_SIGNED_IN, "the token is not good")
            elif kind == "resume" and isinstance(error, Overloaded):
                self._socket.close(CloseCode.TRY_LATER, "too many resumes")
            elif not self._said_hello:
                if isinstance(error, (BadRequest, InvalidInput)):
                    self._socket.close(CloseCode.NOT_UNDERSTOOD, "this auth frame is invalid")
                else:
                    self._socket.close(CloseCode.FAILED, "signing in failed")

    def _refuse(self, error: Exception, ref: str | None = None, advice: str | None = None) -> None:
        told = describe(error, PATH, advice)
        after, problem = told.headers.get("Retry-After"), told.problem
        self._say(
            ErrorFrame(
                problem.type,
                problem.title,
                problem.status,
                problem.detail,
                ref,
                None if after is None else int(after),
                problem.errors,
                problem.message_id,
                problem.change_id,
            )
        )

    def _say(self, frame: ServerFrame) -> None:
        self._socket.write(self._parts.wrap(encode_frame(frame), ""))


def _read_positions(written: Mapping[str, str]) -> dict[ConversationId, Position]:
    """Return what a resume names. Raises `InvalidInput`, without the names."""
    try:
        return {conversation_id(key): Position.parse(text) for key, text in written.items()}
    except ValueError as error:
        raise InvalidInput([FieldError("/positions", str(error))]) from None
