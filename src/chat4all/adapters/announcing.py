"""Changes of members, told on the live feed to the gateways of who is concerned."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from chat4all.adapters.interposing import Around, Call, interposed
from chat4all.concurrency.outages import OutageLog
from chat4all.domain.errors import Unavailable
from chat4all.domain.events import MembershipsChanged
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation
from chat4all.ports.directory import Conversations
from chat4all.ports.feed import Announcements

D = TypeVar("D", bound=Conversations)

TOLD_MAX = 100
"""Of a conversation that more people are in from the start the outbox alone tells."""

TELL_SECONDS = 0.5
"""How long a change waits for the feed, which makes it known sooner; the outbox tells it anyway."""

_log = logging.getLogger(__name__)


def announcing_members(conversations: D, announcements: Announcements) -> D:
    """Return the directory, whose changes of members are announced once they are made."""
    outages = OutageLog(
        _log, "changes of members are not told at once", "changes of members are told at once again"
    )

    async def tell(usernames: Collection[Username]) -> None:
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await announcements.announce([MembershipsChanged(one) for one in usernames])
        except (TimeoutError, Unavailable) as error:
            outages.failed(error)
        else:
            outages.succeeded()

    def telling(concerned: Callable[..., Collection[Username]]) -> Around:
        def around(call: Call) -> Call:
            async def called(*arguments: Any, **options: Any) -> Any:
                result = await call(*arguments, **options)
                usernames = concerned(*arguments, **options)
                if len(usernames) <= TOLD_MAX:
                    await tell(usernames)
                return result

            return called

        return around

    def of_member(_: ConversationId, username: Username, *__: Any, **___: Any) -> list[Username]:
        return [username]

    def of_new(conversation: Conversation, *_: Any, **__: Any) -> Collection[Username]:
        return conversation.members

    return interposed(
        conversations,
        {
            "add_conversation": telling(of_new),
            "add_member": telling(of_member),
            "remove_member": telling(of_member),
        },
    )
