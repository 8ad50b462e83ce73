"""Reading what a `reload` names: the messages of a conversation that were not seen yet."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from chat4all.client.calling import Call, Caller
from chat4all.client.conversations import conversation_path
from chat4all.client.events import MessagesReloaded
from chat4all.client.following import MustReload, ReadPage, Step
from chat4all.client.frames import read_position
from chat4all.client.messages import PAGE_MAX, read_page
from chat4all.client.views import Page, WholeConversation
from chat4all.domain.position import Position

AT_ONCE = 2_000
"""Messages of one event, about; more come in several."""


async def reloaded(caller: Caller, must: MustReload) -> AsyncGenerator[Step, None]:
    """Yield events with what follows the last message that is known; else the newest page.

    Of a conversation that is new as a whole everything follows.

    Each moves the position as far as its messages go, so that none is given again after a break,
    and none that is older after it; the last one at least to where live events go on. Raises what
    reading a history does.
    """
    known, pages = must.known, list[Page]()
    if known is None and await _is_new(caller, must):
        known = Position(0, 0)
        must = replace(must, known=known)
    query: dict[str, object] = {"limit": PAGE_MAX, "at_least": str(must.position)}
    if known is not None:
        query["after"] = known.seq
    while True:
        page, answer = await read_page(caller, must.conversation, **query)
        pages.append(page)
        if known is None or "next" not in answer.links or not page.messages:
            has_older = known is None and "prev" in answer.links
            yield _step(must, pages, must.position, has_older=has_older)
            return
        last = page.messages[-1].seq or 0
        query["after"] = last
        if sum(map(len, pages)) >= AT_ONCE:
            yield _step(must, pages, Position(last, known.change))
            pages = []


async def _is_new(caller: Caller, must: MustReload) -> bool:
    """Say whether there was nothing of a conversation when everything was told before.

    Nobody is ever added to a private one. What a group had before somebody was added may be years
    old: no program is to act on that as if it had just been said.
    """
    if must.told_all_at is None:
        return False
    call = Call("GET", conversation_path(must.conversation))
    found = await caller.ask(call, WholeConversation)
    return found.type == "private" or found.created_at > must.told_all_at


def _step(
    must: MustReload, pages: list[Page], position: Position, *, has_older: bool = False
) -> Step:
    messages = tuple(message for page in pages for message in page)
    continues = must.known is not None
    event = MessagesReloaded(must.conversation, messages, str(position), continues, has_older)
    newest = max((message.seq or 0 for message in messages), default=0)
    return Step(
        event,
        must.conversation,
        Position(max(position.seq, newest), position.change),
        pages=[*map(_read_page, filter(len, pages))],
    )


def _read_page(page: Page) -> ReadPage:
    first, last = page.messages[0].seq or 0, page.messages[-1].seq or 0
    return ReadPage(first, last, read_position(page.position).change)
