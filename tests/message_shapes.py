"""Prints the fields of a public message as each place has them; see `unit/test_message_shape.py`.

Run as a program, with the package that is looked at on PYTHONPATH.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

import chat4all
from chat4all.adapters.cassandra import CassandraSession, Contact
from chat4all.adapters.cassandra.history import CassandraHistory
from chat4all.domain.ids import ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import AllRead, Status, StoredMessage
from chat4all.domain.position import Position
from chat4all.domain.records import MessageRecord
from chat4all.wire.messages import MessageView, accepted_view, message_view
from tests.api.conftest import CHAT, Api, running

STORED = StoredMessage(
    ConversationId(CHAT),
    1,
    MessageId(CHAT),
    Username("bruno"),
    "text",
    "2026-01-31T12:00:00.000Z",
    LogPosition(4, 5, 6),
)


class OneMessage(CassandraHistory):
    """On Cassandra, but for its answers."""

    async def position(self, conversation: ConversationId) -> Position:
        return Position(STORED.seq)

    async def _between(
        self, conversation: ConversationId, first: int, last: int
    ) -> list[StoredMessage]:
        return [STORED]


async def shapes(folder: Path) -> Mapping[str, object]:
    cassandra = OneMessage(CassandraSession(Contact([], "k")))
    page = await cassandra.page(STORED.conversation_id, AllRead(0, None, 0), limit=1)
    accepted = MessageRecord(
        STORED.conversation_id, STORED.message_id, STORED.sender_id, "text", STORED.created_at
    )
    async with running(folder) as api:
        return {
            "package": chat4all.__file__,
            "message_view": _as_json(message_view(STORED, Status.DELIVERED)),
            "accepted_view": _as_json(accepted_view(accepted)),
            "cassandra": json.loads(page.body)[0],
            **await _on_one_machine(api),
        }


def _as_json(view: MessageView) -> object:
    return json.loads(msgspec.json.encode(view))


async def _on_one_machine(api: Api) -> Mapping[str, object]:
    bruno = await api.sign_in("bruno")
    message_id = await api.send(bruno)
    await api.routed()
    path = f"/v1/conversations/{CHAT}/messages/{message_id}"
    (listed,) = (await api.metadata.get("/v1/conversations", headers=bruno)).json()
    described = (await api.gateway.get("/openapi.json")).json()
    return {
        "embedded": (await api.history(bruno))[0],
        "stored": (await api.gateway.get(path, headers=bruno)).json(),
        "listed": listed["last_message"],
        "openapi": described["components"]["schemas"]["MessageView"]["properties"],
        "required": described["components"]["schemas"]["MessageView"]["required"],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(shapes(Path(sys.argv[1])))))
