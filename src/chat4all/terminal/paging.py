"""Any stretch of a history, oldest message first, in memory for one page."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from chat4all.client import Client, Message

PAGE_MAX = 200
"""Messages of one page of the server."""


@dataclass(frozen=True)
class Stretch:
    """The messages of a conversation above `after` and below `before`."""

    conversation: str
    after: int
    before: int

    def __len__(self) -> int:
        return max(0, self.before - self.after - 1)

    async def pages(self, chat: Client) -> AsyncIterator[list[Message]]:
        """Yield what there is, oldest first."""
        if not len(self):
            return
        limit = min(len(self), PAGE_MAX)
        async for page in chat.history(self.conversation, after=self.after, limit=limit):
            found = [one for one in page if (one.seq or 0) < self.before]
            if found:
                yield found
            if len(found) < len(page) or (found and found[-1].seq == self.before - 1):
                return


async def stretch(
    chat: Client, conversation: str, count: int | None, before: int | None, after: int | None
) -> Stretch:
    """Return the last `count` messages below `before`, or the first ones above `after`.

    Without a count all of them. Messages that come later are none of it.
    """
    end = await newest_seq(chat, conversation) + 1
    end = end if before is None else min(before, end)
    if after is not None:
        return Stretch(conversation, after, end if count is None else min(end, after + count + 1))
    return Stretch(conversation, 0 if count is None else max(0, end - count - 1), end)


async def newest_seq(chat: Client, conversation: str) -> int:
    """Return the number of the newest message; 0 where there is none."""
    async for page in chat.history(conversation, limit=1):
        for message in page:
            return message.seq or 0
    return 0
