"""What a store holds, message by message, seen through the ports that readers have."""

import asyncio
from dataclasses import dataclass

import msgspec

from chat4all.domain.ids import ConversationId, MessageId
from chat4all.domain.messages import AllRead, StoredMessage
from chat4all.wire.messages import MessageView, message_view
from tests.contract.ports import VisibleHistory

NOTHING_READ = AllRead(0, None, 0)
AT_ONCE = 100


@dataclass(frozen=True)
class Stored:
    """Consecutive messages, oldest first, and the conversation's newest visible number."""

    messages: list[StoredMessage]
    head: int


async def stored(history: VisibleHistory, chat: ConversationId, **bounds: int) -> Stored:
    """Return the messages of a page, each as it is found by its id, and as the page shows it."""
    page = await history.page(chat, NOTHING_READ, **bounds)
    views = msgspec.json.decode(page.body, type=list[MessageView])
    found: list[StoredMessage] = []
    for first in range(0, len(views), AT_ONCE):
        part = views[first : first + AT_ONCE]
        found += await asyncio.gather(*(_message(history, chat, view) for view in part))
    return Stored(found, await history.head(chat))


async def _message(
    history: VisibleHistory, chat: ConversationId, view: MessageView
) -> StoredMessage:
    found = await history.with_id(chat, MessageId(view.message_id))
    assert {message.message_id for message in found} == {view.message_id}
    same = [message for message in found if message.seq == view.seq]
    assert len(same) == 1, "a message cannot be found by its id"
    assert view == message_view(same[0], view.status), "a page shows another message"
    return same[0]
