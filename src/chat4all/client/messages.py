"""Sending, changing and reading messages."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2

from chat4all.client.calling import Call, Caller, read
from chat4all.client.errors import NotFound, Unavailable
from chat4all.client.views import Message, Page, ReactionCount, ReceiptView, VersionView

PAGE_MAX = 200
"""Messages of one page."""

STORED_WITHIN_SECONDS = 20.0
"""For which a message of this client that is not found is taken for accepted and not yet stored.

A router that was killed is replaced within 12 s.
"""

STORED_AFTER_SECONDS = 0.05
"""Until it is looked for again; twice as long each time."""

LOOK_SECONDS = 1.0
"""The longest time between two looks."""

RECENT_MAX = 1_000


def messages_path(conversation: str, *rest: str) -> str:
    """Return the path of a conversation's messages, or of what is below it."""
    return "/".join(
        ["/v1/conversations", *(quote(p, safe="") for p in (conversation, "messages", *rest))]
    )


async def read_page(
    caller: Caller, conversation: str, **query: Any
) -> tuple[Page, httpx2.Response]:
    """Return a page of a history, and the answer that has its links."""
    answer = await caller.response(Call("GET", messages_path(conversation), query=query))
    page = Page(read(answer, tuple[Message, ...]), answer.headers.get("Chat4All-Position", "0.0"))
    return page, answer


class Recent:
    """Messages that were sent a moment ago: accepted, and perhaps not stored yet."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, message_id: str) -> None:
        """Note that a message was accepted just now."""
        now = time.monotonic()
        while self._until and (oldest := next(iter(self._until))):
            if self._until[oldest] > now and len(self._until) < RECENT_MAX:
                break
            del self._until[oldest]
        self._until[message_id] = now + STORED_WITHIN_SECONDS

    def has(self, message_id: str) -> bool:
        """Say whether a message may be accepted and not be stored."""
        return time.monotonic() < self._until.get(message_id, 0.0)


class MessageCalls:
    """What a client does with messages. `conversation` is a `conversation_id` everywhere."""

    _caller: Caller
    _recent: Recent

    async def send(
        self,
        conversation: str,
        content: str | None = None,
        *,
        reply_to: str | None = None,
        mentions: Iterable[str] = (),
        kind: str = "text",
        payload: Mapping[str, Any] | None = None,
        message_id: str | None = None,
        mark_read: bool = True,
    ) -> str:
        """Send a message; return its `message_id` once it is durable. It appears once.

        The id is made before the first try and is the same in every one. Give your own (a UUID)
        where a message must not appear twice although your program may be started again:
        sending it again is safe. `reply_to` is the `message_id` of a message of this
        conversation, `mentions` are usernames of members. `payload` is what `kind` asks for
        (docs/clients.md). `mark_read=False` leaves your own read marker where it is; otherwise
        all messages before this one count as read by you.

        Raises `OutcomeUnknown` or `Unavailable` with the `message_id` to try again with.
        """
        body: dict[str, Any] = {"chat_id": conversation, "message_id": message_id or str(uuid4())}
        optional = {
            "content": content,
            "reply_to": reply_to,
            "mentions": list(mentions) or None,
            "kind": None if kind == "text" else kind,
            "payload": payload,
            "mark_read": None if mark_read else False,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        try:
            await self._caller.tell(Call("POST", "/v1/messages", body=body))
        except Unavailable as error:
            error.message_id = body["message_id"]
            raise
        self._recent.add(body["message_id"])
        return str(body["message_id"])

    async def edit(
        self,
        conversation: str,
        message_id: str,
        content: str,
        *,
        seq: int | None = None,
        change_id: str | None = None,
    ) -> str:
        """Give your own message another text; return the `change_id` once it is durable.

        `seq` says which message is meant where several members have used its id.
        """
        change_id = change_id or str(uuid4())
        return await self._change(
            Call(
                "PATCH",
                messages_path(conversation, message_id),
                query={"seq": seq},
                body={"content": content, "change_id": change_id},
            ),
            change_id,
            message_id,
        )

    async def delete(
        self,
        conversation: str,
        message_id: str,
        *,
        seq: int | None = None,
        change_id: str | None = None,
    ) -> str:
        """Delete your own message or, as an admin, any: it keeps its `seq` and loses the rest."""
        return await self._keyed("DELETE", change_id, seq, conversation, message_id)

    async def react(
        self,
        conversation: str,
        message_id: str,
        emoji: str,
        *,
        seq: int | None = None,
        change_id: str | None = None,
    ) -> str:
        """React to a message with one of the emojis that there are; return the `change_id`."""
        return await self._keyed(
            "PUT", change_id, seq, conversation, message_id, "reactions", emoji
        )

    async def unreact(
        self,
        conversation: str,
        message_id: str,
        emoji: str,
        *,
        seq: int | None = None,
        change_id: str | None = None,
    ) -> str:
        """Take a reaction back; return the `change_id`."""
        return await self._keyed(
            "DELETE", change_id, seq, conversation, message_id, "reactions", emoji
        )

    async def read(self, conversation: str, seq: int) -> None:
        """Mark everything up to and with `seq` as read. A marker only grows."""
        path = f"/v1/conversations/{quote(conversation, safe='')}/read"
        await self._caller.tell(Call("POST", path, body={"seq": seq}))

    async def history(
        self,
        conversation: str,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        limit: int = 50,
    ) -> AsyncIterator[Page]:
        """Yield the pages of a history, of up to `limit` messages (at most 200) each.

        From the newest page back to the first message; with `before` (a `seq`) from below it. With
        `after` from above it on to the newest. With `around` the one page that has it in its
        middle. Within a page the oldest message is first, whichever way the pages go.
        """
        query = {"before": before, "after": after, "around": around, "limit": limit}
        way = "next" if after is not None else "prev"
        while True:
            page, answer = await read_page(self._caller, conversation, **query)
            if page.messages or answer.links:
                yield page
            if around is not None or way not in answer.links or not page.messages:
                return
            edge = page.messages[-1 if way == "next" else 0].seq
            query = {("after" if way == "next" else "before"): edge, "limit": limit}

    async def message(self, conversation: str, message_id: str) -> Message:
        """Return one message: your own of this id, else the first one that has it."""
        return await self._caller.ask(Call("GET", messages_path(conversation, message_id)), Message)

    async def edits(
        self, conversation: str, message_id: str, *, seq: int | None = None
    ) -> tuple[VersionView, ...]:
        """Return every text that a message had, earliest first; for its author and admins."""
        path = messages_path(conversation, message_id, "edits")
        return await self._caller.ask(
            Call("GET", path, query={"seq": seq}), tuple[VersionView, ...]
        )

    async def reactions(
        self, conversation: str, message_id: str, *, seq: int | None = None
    ) -> tuple[ReactionCount, ...]:
        """Return each reaction to a message, with all names."""
        path = messages_path(conversation, message_id, "reactions")
        return await self._caller.ask(
            Call("GET", path, query={"seq": seq}), tuple[ReactionCount, ...]
        )

    async def receipts(self, conversation: str) -> tuple[ReceiptView, ...]:
        """Return how far each member has received and read."""
        path = f"/v1/conversations/{quote(conversation, safe='')}/receipts"
        return await self._caller.ask(Call("GET", path), tuple[ReceiptView, ...])

    async def _keyed(
        self,
        method: str,
        change_id: str | None,
        seq: int | None,
        conversation: str,
        message_id: str,
        *rest: str,
    ) -> str:
        change_id = change_id or str(uuid4())
        path = messages_path(conversation, message_id, *rest)
        call = Call(method, path, query={"seq": seq}, key=change_id)
        return await self._change(call, change_id, message_id)

    async def _change(self, call: Call, change_id: str, message_id: str) -> str:
        deadline, delay = time.monotonic() + self._caller.seconds, STORED_AFTER_SECONDS
        while True:
            try:
                await self._caller.tell(call)
            except Unavailable as error:
                error.change_id = change_id
                raise
            except NotFound:
                if not self._recent.has(message_id) or time.monotonic() + delay >= deadline:
                    raise
            else:
                return change_id
            await asyncio.sleep(delay)
            delay = min(2 * delay, LOOK_SECONDS)
