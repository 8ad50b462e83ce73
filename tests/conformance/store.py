"""The history that the server serves: an honest one, whatever its sockets do."""

from dataclasses import dataclass, field
from typing import Any

from tests.conformance.data import Json, message_id

PAGE = 50
PAGE_MOST = 200


def message_of(conversation: str, seq: int, content: str, **others: Any) -> Json:
    """Return a message as the wire has it."""
    return {
        "conversation_id": conversation,
        "message_id": message_id(conversation, seq),
        "sender_id": "bruno",
        "content": content,
        "created_at": f"2026-01-31T12:00:{seq % 60:02}.000Z",
        "status": "DELIVERED",
        "seq": seq,
        "edited_at": None,
        "deleted_at": None,
        "reactions": [],
        "kind": "text",
        "payload": None,
        "reply_to": None,
        "mentions": [],
        **others,
    }


@dataclass
class History:
    """One conversation."""

    messages: dict[int, Json] = field(default_factory=dict)
    change: int = 0

    @property
    def head(self) -> int:
        return max(self.messages, default=0)

    @property
    def position(self) -> str:
        return f"{self.head}.{self.change}"

    def page(
        self,
        limit: int = PAGE,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
    ) -> tuple[list[Json], Json]:
        """Return a page, oldest message first, and what `Link` says: by `rel` the query."""
        limit = min(limit, PAGE_MOST)
        if around is not None:
            first = max(1, around - limit // 2)
        elif after is not None:
            first = after + 1
        else:
            first = (self.head + 1 if before is None else before) - limit
        last = min(first + limit - 1, self.head)
        if before is not None:
            last = min(last, before - 1)
        numbers = range(max(1, first), last + 1)
        links: Json = {}
        if numbers and numbers[0] > 1:
            links["prev"] = {"before": numbers[0], "limit": limit}
        if numbers and numbers[-1] < self.head:
            links["next"] = {"after": numbers[-1], "limit": limit}
        return [self.messages[seq] for seq in numbers], links


class Store:
    """All conversations, by id."""

    def __init__(self, described: Json) -> None:
        self.conversations: dict[str, History] = {}
        for conversation, one in described.items():
            history = self.conversations[conversation] = History(change=one.get("change", 0))
            told = one.get("messages", 0)
            contents = [f"m{seq}" for seq in range(1, told + 1)] if isinstance(told, int) else told
            for seq, content in enumerate(contents, 1):
                history.messages[seq] = message_of(conversation, seq, content)

    def put(self, message: Json, position: str) -> None:
        """Store a message, new or changed, unless it is older than what is there."""
        history = self.conversations.setdefault(message["conversation_id"], History())
        history.messages[message["seq"]] = message
        history.change = max(history.change, int(position.partition(".")[2]))
