"""The events: connecting, resuming, reloading."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Collection
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tests.conformance.data import Json
from tests.conformance.reference.calls import Calls, Failed

FOREVER = (1002, 1007, 1009, 4400)
NOT_SIGNED_IN = 4401

BACKOFF_MOST = 20.0
QUEUE = 1000
SILENCE_SECONDS = 10.0
PAGE = 200

Position = tuple[int, int]


def parsed(position: str) -> Position:
    seq, _, change = position.partition(".")
    return int(seq), int(change)


class Gap(Exception):
    """Something was left out: connect again, and resume."""


class Following:
    """The events of one account, over connections that follow one another."""

    def __init__(self, program: Json, calls: Calls, defects: Collection[str]) -> None:
        since = program.get("since") or {}
        self._url = "ws" + program["url"].removeprefix("http") + "/v1/live"
        self._pace: float = program["pace"]
        self._calls = calls
        self._is = defects.__contains__
        self._begins_now = not since
        self.taken: dict[str, str] = dict(since.get("positions", {}))
        self._received = dict(self.taken)
        self.generation: str | None = since.get("generation")
        self._pages: dict[str, tuple[int, int]] = {}
        """By conversation: the last message that was reloaded, and the change it was read at."""
        self._markers: dict[str, int] = {}
        self._username = ""
        self._retry_after = 0.0
        self._is_told = False
        self._queue: asyncio.Queue[tuple[Json | None, dict[str, str | None]]] = asyncio.Queue(
            0 if self._is("unbounded") else program.get("queue", QUEUE)
        )
        self._error: Failed | None = None
        self._socket: ClientConnection | None = None
        self._watched: Json | None = None

    async def events(self) -> AsyncGenerator[Json]:
        """Yield events; one counts as taken when the next is asked for."""
        pumping = asyncio.create_task(self._pump())
        try:
            while True:
                event, moved = await self._queue.get()
                if self._is("position-first"):
                    self._take(moved)
                if event is not None:
                    yield event
                elif self._error:
                    raise self._error
                self._take(moved)
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)

    def _take(self, moved: dict[str, str | None]) -> None:
        for conversation, position in moved.items():
            if position is None:
                self.taken.pop(conversation, None)
            else:
                self.taken[conversation] = position

    async def _put(self, event: Json | None, **moved: str | None) -> None:
        await self._queue.put((event, moved))

    async def say(self, **frame: Any) -> None:
        """Send a frame on the connection that there is; what is watched, on later ones too."""
        if frame["type"] == "watch":
            self._watched = frame
        frame["ref"] = " ".join([frame["type"], frame.get("conversation_id", "")])
        if self._socket is not None:
            await self._socket.send(json.dumps(frame))

    async def _pump(self) -> None:
        tries = 0
        try:
            while True:
                self._is_told = False
                token = await self._calls.token()
                code = await self._session(token)
                if self._is_told:
                    tries = 0
                    await self._put({"type": "Disconnected"})
                if code in FOREVER and not self._is("connects-for-ever"):
                    raise Failed("Defect", code=code)
                if code == NOT_SIGNED_IN:
                    await self._calls.renew(token)
                most = min(BACKOFF_MOST, 2.0**tries)
                tries = min(tries + 1, 10)
                delay = self._retry_after + random.uniform(0, most)
                self._retry_after = 0.0
                if not self._is("no-backoff"):
                    await asyncio.sleep(delay * self._pace)
        except Failed as error:
            self._error = error
            await self._put(None)

    async def _session(self, token: str) -> int:
        """Follow one connection to its end, and return its close code."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with connect(
                self._url,
                additional_headers=headers,
                compression=None,
                proxy=None,
                ping_interval=None,
                close_timeout=0.2,
            ) as socket:
                renewing = asyncio.create_task(self._renew_in_time(socket))
                try:
                    await self._follow(socket)
                finally:
                    renewing.cancel()
                    self._socket = None
        except InvalidStatus as refused:
            seconds = float(refused.response.headers.get("Retry-After", 0))
            self._retry_after = 0.0 if self._is("never-waits") else seconds
            return NOT_SIGNED_IN if refused.response.status_code == 401 else 1006
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
        except (OSError, InvalidHandshake, TimeoutError, Gap):
            return 1006
        raise AssertionError("a connection has no other end")

    async def _renew_in_time(self, socket: ClientConnection) -> None:
        while not self._is("never-renews"):
            await asyncio.sleep(self._calls.lasts / 2)
            await self._calls.renew(await self._calls.token())
            token = await self._calls.token()
            await socket.send(json.dumps({"type": "auth", "token": token}))

    async def _follow(self, socket: ClientConnection) -> None:
        hello = json.loads(await socket.recv())
        while hello["type"] != "hello":
            await self._frame(hello)
            hello = json.loads(await socket.recv())
        self._username = hello["username"]
        silence = (hello["heartbeat_s"] + SILENCE_SECONDS) * self._pace
        if self._is("waits-in-silence"):
            silence = 1e6
        positions = {} if self._is("no-positions") else self._received
        generation = hello["generation"] if self._is("old-generation") else self.generation
        resume = {"type": "resume", "generation": generation}
        items = list(positions.items())
        most = 10_000 if self._is("one-frame") else 500
        pieces = [dict(items[at : at + most]) for at in range(0, len(items), most)] or [{}]
        for number, piece in enumerate(pieces, 1):
            more = number < len(pieces)
            await socket.send(json.dumps({**resume, "positions": piece, "more": more}))
        while True:
            async with asyncio.timeout(silence):
                frame = json.loads(await socket.recv())
            if frame["type"] == "resumed":
                if not self._is("keeps-generation"):
                    self.generation = hello["generation"]
                self._socket = socket
                if self._watched and not self._is("watches-once"):
                    await self.say(**self._watched)
            await self._frame(frame)

    async def _frame(self, frame: Json) -> None:
        match frame["type"]:
            case "message":
                await self._created(frame)
            case "message_changed":
                await self._changed(frame)
            case "reload":
                await self._reload(frame["conversation_id"], frame["position"])
            case "conversation":
                await self._conversation(frame)
            case "resumed":
                self._is_told = True
                self._begins_now = False
                await self._put({"type": "Connected"})
                markers = {} if self._is("forgets-markers") else frame["markers"]
                for conversation, seq in markers.items():
                    await self._read(conversation, self._username, seq)
            case "read":
                await self._read(frame["conversation_id"], frame["username"], frame["seq"])
            case "delivered":
                await self._put({**frame, "type": "DeliveredMoved"})
            case "typing":
                await self._put({**frame, "type": "Typing"})
            case "presence":
                await self._put({**frame, "type": "PresenceChanged"})
            case "error":
                seconds = frame.get("retry_after", 0)
                self._retry_after = 0.0 if self._is("never-waits") else seconds
                await self._refused(frame)

    async def _refused(self, frame: Json) -> None:
        """Tell what was refused of what is not answered; and say again what is for now."""
        request, _, conversation = (frame.get("ref") or "").partition(" ")
        if request not in {"typing", "watch"} or self._is("refused-in-silence"):
            return
        is_for_now = frame["status"] in {429, 503}
        kind = "Unavailable" if is_for_now else "Refused"
        event = {"request": request, "conversation_id": conversation or None, "error": kind}
        await self._put({"type": "RequestRefused", **event, "status": frame["status"]})
        if request == "watch" and is_for_now and self._watched:
            await asyncio.sleep(self._retry_after * self._pace)
            await self.say(**self._watched)

    async def _created(self, frame: Json) -> None:
        message, position = frame["message"], frame["position"]
        conversation, seq = message["conversation_id"], message["seq"]
        has, _ = parsed(self._received.get(conversation, "0.0"))
        if seq <= has and not self._is("shows-doubles"):
            return
        if seq > has + 1 and not self._is("shows-gaps"):
            raise Gap
        self._received[conversation] = position
        is_known = seq <= self._pages.get(conversation, (0, 0))[0]
        if self._is("shows-reloaded-again"):
            is_known = False
        event = {"type": "MessageCreated", "message": message, "position": position}
        await self._put(None if is_known else event, **{conversation: position})

    async def _changed(self, frame: Json) -> None:
        message, position = frame["message"], frame["position"]
        conversation, seq = message["conversation_id"], message["seq"]
        has, change = parsed(self._received.get(conversation, "0.0"))
        if parsed(position)[1] <= change and not self._is("shows-doubles"):
            return
        if seq > has and not self._is("shows-gaps"):
            raise Gap
        self._received[conversation] = position
        last, read_at = self._pages.get(conversation, (0, 0))
        is_known = seq <= last and parsed(position)[1] <= read_at
        event = {"type": "MessageChanged", "message": message, "position": position}
        await self._put(None if is_known else event, **{conversation: position})

    async def _reload(self, conversation: str, position: str) -> None:
        try:
            messages, read_at = await self._calls.all_messages(conversation)
        except Failed as failed:
            if failed.fields.get("status") == 404 and not self._is("wants-all"):
                return  # removed meanwhile, which is said next
            raise
        self._received[conversation] = position
        if messages:
            self._pages[conversation] = (messages[-1]["seq"], parsed(read_at)[1])
        if self._is("never-reloads"):
            return
        event = {
            "type": "MessagesReloaded",
            "conversation_id": conversation,
            "messages": messages,
            "position": position,
        }
        await self._put(event, **{conversation: position})

    async def _conversation(self, frame: Json) -> None:
        conversation, kind = frame["conversation_id"], frame["event"]
        event = {**frame, "type": "ConversationChanged"}
        if kind == "removed" and not self._is("keeps-removed"):
            self._received.pop(conversation, None)
            self._pages.pop(conversation, None)
            await self._put(event, **{conversation: None})
        elif kind == "added" and self._begins_now:
            self._received[conversation] = frame["position"]
            await self._put(event, **{conversation: frame["position"]})
        else:
            await self._put(event)
            if kind == "added":
                await self._reload(conversation, frame["position"])

    async def _read(self, conversation: str, username: str, seq: int) -> None:
        if username == self._username:
            if seq <= self._markers.get(conversation, 0):
                return
            self._markers[conversation] = seq
        event = {"type": "ReadMoved", "conversation_id": conversation, "username": username}
        await self._put({**event, "seq": seq})
