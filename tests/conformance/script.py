"""What the server does on its sockets: for each connection a list of steps.

A step is an object whose first key says what is done; docs/clients/conformance.md has them all.
"""

import asyncio
import time
from typing import Any

from tests.conformance.data import END, Json, readable
from tests.conformance.record import Record
from tests.conformance.shapes import wrong_frame
from tests.conformance.store import Store, message_of
from tests.conformance.tokens import Tokens
from tests.conformance.websocket import Socket
from tests.conformance.writes import CHANGES, SLACK, Answer, Writes, problem

STALLED_SECONDS = 1.5
"""A client that takes nothing at all for so long does not read."""

NOT_SIGNED_IN = 4401


class Broken(Exception):
    """The client did not do what the script expects."""


class SocketScript:
    """One connection: plays its steps while it reads what the client sends."""

    def __init__(
        self,
        socket: Socket,
        steps: list[Json],
        described: Json,
        *,
        store: Store,
        tokens: Tokens,
        writes: Writes,
        record: Record,
        pace: float,
    ) -> None:
        self._socket = socket
        self._steps = steps
        self._described = described
        self._store = store
        self._tokens = tokens
        self._writes = writes
        self._record = record
        self._pace = pace
        self._resume: Json = {}
        self._is_resumed = asyncio.Event()
        self._has_token = asyncio.Event()
        self._refs: dict[str, Any] = {}
        """By the type of a frame, the `ref` of the last one."""
        self.token: str | None = None
        self.has_played = False
        """Whether all steps were played."""
        self.is_refused = False
        """Whether the token was not good, so that none was."""

    async def play(self, token: str | None) -> None:
        """Play until the connection ends. `token` is that of the handshake."""
        if token is not None:
            self._authenticate(token)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._socket.read())
            hearing = group.create_task(self._hear())
            try:
                await self._go_through()
            except Broken as broken:
                self._record.fault(str(broken))
                self._socket.abort()
            await reading
            await hearing

    async def _go_through(self) -> None:
        await self._or_closed(self._has_token, "`auth`")
        if self.token not in self._tokens.good:
            self._record.tell("the token is not good")
            self.is_refused = True
            self._socket.close(NOT_SIGNED_IN)
            return
        if not self._steps or not self._steps[0].keys() & {"hello", "no_hello"}:
            self._hello({})
        for step in self._steps:
            await self._do(step)
        self.has_played = True
        self._record.tell("the script of a connection is at its end")

    async def _do(self, step: Json) -> None:
        what, value = next(iter(step.items()))
        self._record.tell(f"step: {step}")
        match what:
            case "hello":
                self._hello(value)
            case "resume":
                await self._expect_resume(value, step)
            case "anew":
                self._begin_anew(value, step)
            case "resumed":
                self._socket.send({"type": "resumed", "markers": value})
            case "frame":
                self._socket.send(value)
            case "refused":
                self._refuse(value, step)
            case "message" | "changed":
                self._say_message(what, value, step)
            case "store":
                self._store.put(self._message(value, step), step["position"])
            case "echo":
                await self._echo(value, step)
            case "replay":
                self._replay(value, step.get("to"))
            case "flood":
                await self._flood(value, step)
            case "reload":
                if step.get("unless_resumed") and self._resumed_at(value) == step["position"]:
                    return
                frame = {"conversation_id": value, "position": step["position"]}
                self._socket.send({"type": "reload", **frame})
            case "conversation":
                frame = {"type": "conversation", "conversation_id": value, **step}
                del frame["conversation"]
                self._socket.send(frame)
            case "end":
                self._socket.send({"type": "typing", "conversation_id": value, "username": END})
            case _:
                await self._control(what, value, step)

    async def _control(self, what: str, value: Any, step: Json) -> None:
        """Do a step that sends no frame."""
        match what:
            case "close":
                self._socket.close(value, step.get("reason", ""))
                await self._socket.is_closed.wait()
            case "drop":
                self._socket.abort()
            case "closed":
                begun = time.monotonic()
                await self._socket.is_closed.wait()
                self._not_before(step, begun, "the client closed the connection")
            case "expire":
                self._tokens.expire(value)
            case "sleep":
                await asyncio.sleep(value * self._pace)
            case "no_hello":
                pass
            case "wait":
                begun = time.monotonic()
                await self._or_closed_until(value, step.get("count", 1))
                self._not_before(step, begun, f"the client came with {value!r}")
            case "go":
                self._record.is_paused = False
                self._record.tell("go")
            case _:
                raise AssertionError(f"there is no step {what!r}")

    # Frames.

    def _hello(self, others: Json) -> None:
        frame = {
            "type": "hello",
            "username": "ana",
            "session_id": "0199f3a0-2d6b-7a51-8c0f-6e4b1d9a7f35",
            "server_time": "2026-01-31T12:00:00.000Z",
            "heartbeat_s": 3000,
            "frame_max": 65536,
            "resume_max": 1000,
            "generation": "g1",
        }
        self._socket.send({**frame, **self._described.get("hello", {}), **others})

    def _message(self, conversation: str, step: Json) -> Json:
        seq = step.get("seq") or int(step["position"].partition(".")[0])
        others = dict(step.get("with", {}))
        return message_of(conversation, seq, step.get("content", f"m{seq}"), **others)

    def _say_message(self, what: str, conversation: str, step: Json) -> None:
        message = self._message(conversation, step)
        if what == "changed" and "edited_at" not in step.get("with", {}):
            message["edited_at"] = "2026-01-31T13:00:00.000Z"
        if not step.get("unstored"):
            self._store.put(message, step["position"])
        kind = "message" if what == "message" else "message_changed"
        self._socket.send({"type": kind, "message": message, "position": step["position"]})

    async def _echo(self, content: str, step: Json) -> None:
        """Store and show what the client has sent, under its own id."""
        await self._or_closed_until("write", step.get("tries", 1), content)
        sent = next(a for a in self._record.attempts if a.fields.get("content") == content)
        mine = {"message_id": sent.identifier, "sender_id": "ana"}
        step = {**step, "content": content, "with": mine}
        self._say_message("message", sent.fields["conversation_id"], step)

    def _refuse(self, kind: str, step: Json) -> None:
        """Answer the last frame of this type with an error."""
        answer = problem(step["status"], retry_after=step.get("retry_after"))
        self._socket.send(_frame_of(answer, self._refs.get(kind)))

    def _resumed_at(self, conversation: str) -> str | None:
        position: str | None = self._resume["positions"].get(conversation)
        return position

    def _replay(self, conversation: str, to: int | None) -> None:
        """Send every message, or those up to one, that the client has not when it resumes."""
        has = self._resumed_at(conversation) or "0.0"
        history = self._store.conversations[conversation]
        change = has.partition(".")[2]
        for seq in range(int(has.partition(".")[0]) + 1, (to or history.head) + 1):
            frame = {"message": history.messages[seq], "position": f"{seq}.{change}"}
            self._socket.send({"type": "message", **frame})

    def _begin_anew(self, conversation: str, step: Json) -> None:
        """Tell the client to reload, for its positions are of another generation."""
        frame = {"conversation_id": conversation, "position": step["position"]}
        if conversation not in self._resume["positions"]:
            self._socket.send({"type": "conversation", "event": "added", **frame})
            return
        if self._resume["generation"] != step["of"]:
            generation = self._resume["generation"]
            raise Broken(f"the client says that positions of {step['of']} are of {generation}")
        self._socket.send({"type": "reload", **frame})

    async def _flood(self, conversation: str, step: Json) -> None:
        """Send messages until the client closes, or has stopped reading."""
        first, count = step["from"], step["count"]
        for seq in range(first, first + count):
            message = message_of(conversation, seq, f"m{seq}")
            self._store.put(message, f"{seq}.0")
        for seq in range(first, first + count):
            message = self._store.conversations[conversation].messages[seq]
            frame = {"type": "message", "message": message, "position": f"{seq}.0"}
            # A field that no client knows: the system takes megabytes for a client.
            self._socket.send({**frame, "padding": "." * step["bytes"]})
            if not await self._socket.is_taken(STALLED_SECONDS):
                self._socket.abort()  # 4408 does not reach a client that does not read
                self._record.tell(f"the client has stopped reading before message {seq}")
                return
            if self._socket.is_closed.is_set():
                return
            self._record.tell(f"the client has taken message {seq}")
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await self._socket.is_closed.wait()
        except TimeoutError:
            raise Broken(f"the client took {count} messages that nobody asked for") from None

    # What the client sends.

    async def _hear(self) -> None:
        while (frame := await self._socket.received.get()) is not None:
            self._record.tell(f"frame: {frame}")
            if wrong := wrong_frame(frame):
                self._record.fault(f"a frame is not as it should be: {wrong}: {frame}")
                continue
            match frame.get("type"):
                case "auth":
                    self._authenticate(frame["token"])
                case "resume":
                    self._hear_resume(frame)
                case "send" | "edit" | "delete" | "react" | "unreact" | "read" as kind:
                    await self._hear_write(kind, frame)
                case "typing" | "watch" as kind:
                    self._refs[kind] = frame.get("ref")
                    self._record.count(kind)

    def _authenticate(self, token: str) -> None:
        if self.token is not None:
            self._record.count("renewed")
        self.token = token
        self._has_token.set()

    def _hear_resume(self, frame: Json) -> None:
        if self._is_resumed.is_set():
            self._record.fault("`resume` was sent twice on one connection")
        positions = {**self._resume.get("positions", {}), **frame.get("positions", {})}
        self._resume = {"positions": positions, "generation": frame.get("generation")}
        if not frame.get("more"):
            self._is_resumed.set()

    async def _hear_write(self, kind: str, frame: Json) -> None:
        fields = {"conversation_id": frame.get("chat_id"), **frame}
        identifier = frame.get("change_id" if kind in CHANGES else "message_id")
        answer = await self._writes.take(kind, identifier, fields)
        if answer is None:
            self._socket.abort()
        elif kind != "read" or answer.status >= 400:
            self._socket.send(_frame_of(answer, frame.get("ref")))

    async def _expect_resume(self, wanted: Any, step: Json) -> None:
        await self._or_closed(self._is_resumed, "`resume`")
        if wanted == "any":
            return
        has = self._resume["positions"]
        for conversation, allowed in wanted.items():
            any_of = allowed if isinstance(allowed, list) else [allowed]
            if has.get(conversation) not in any_of:
                told = f"{conversation} with {has.get(conversation)}, not {' or '.join(any_of)}"
                raise Broken(readable(f"the client resumes {told}"))
        if more := has.keys() - wanted.keys():
            raise Broken(readable(f"the client resumes what it does not have: {sorted(more)}"))
        generation = step.get("generation")
        if generation and self._resume["generation"] != generation:
            told = f"{self._resume['generation']}, not {generation}"
            raise Broken(f"the client resumes with the generation {told}")

    # Waiting.

    def _not_before(self, step: Json, begun: float, what: str) -> None:
        least = SLACK * self._pace * step.get("not_before", 0)
        if time.monotonic() - begun < least:
            raise Broken(f"{what} in less than {least:.3f} s")

    async def _or_closed(self, event: asyncio.Event, what: str) -> None:
        closed = asyncio.ensure_future(self._socket.is_closed.wait())
        happened = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait((closed, happened), return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            happened.cancel()
        if not event.is_set():
            raise Broken(f"the client closed the connection before {what}")

    async def _or_closed_until(self, what: str, count: int, content: str | None = None) -> None:
        def is_so() -> bool:
            if what == "paused":
                return self._record.is_paused
            if what == "write":
                tries = self._record.attempts
                return sum(content in (None, a.fields.get("content")) for a in tries) >= count
            return self._record.counts.get(what, 0) >= count

        event = asyncio.Event()

        async def watch() -> None:
            await self._record.until(is_so)
            event.set()

        watching = asyncio.create_task(watch())
        try:
            await self._or_closed(event, what)
        finally:
            watching.cancel()


def _frame_of(answer: Answer, ref: str | None) -> Json:
    """Return the frame that says what an answer says."""
    if answer.status < 400:
        return {"type": "accepted", "ref": ref, **(answer.body or {})}
    body = {**answer.body}
    del body["instance"], body["request_id"]
    problem = body.pop("type")
    frame = {"type": "error", "ref": ref, "problem": problem, **body}
    if answer.retry_after is not None:
        frame["retry_after"] = answer.retry_after
    return frame
