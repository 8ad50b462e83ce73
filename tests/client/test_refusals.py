"""What the server refuses on the connection of events, against the whole system."""

from typing import Any

import msgspec
import pytest

from chat4all.client import (
    Client,
    Defect,
    InvalidInput,
    NotFound,
    PresenceChanged,
    RequestRefused,
    Typing,
    Unavailable,
)
from chat4all.client.errors import Answered, error_of
from chat4all.client.frames import read_frame
from chat4all.client.refusing import refused_by, typing_ref
from chat4all.domain.errors import Overloaded
from chat4all.gateway.live.watching import Watching
from tests.api.conftest import CHAT
from tests.client.test_events import is_connected, is_just, upto

pytestmark = pytest.mark.anyio


def is_refused(event: object) -> bool:
    return isinstance(event, RequestRefused)


async def test_typing_where_one_is_not_a_member(ana: Client, bruno: Client) -> None:
    others = (await bruno.create_group("Others")).conversation_id
    events = ana.events()
    await upto(events, is_connected)
    await ana.typing(others)
    *_, refused = await upto(events, is_refused)
    assert isinstance(refused, RequestRefused)
    assert (refused.request, refused.conversation_id) == ("typing", others)
    assert isinstance(refused.error, NotFound)
    assert (refused.error.status, refused.error.type) == (404, "/problems/not-found")
    # The connection goes on, as do its positions.
    await upto(bruno.events(), is_connected)
    await bruno.typing(CHAT)
    assert await upto(events, is_just(Typing(CHAT, "bruno"))) == [Typing(CHAT, "bruno")]


@pytest.mark.parametrize("conversation", ["no id at all", "x" * 5_000])
async def test_typing_in_what_is_no_conversation(ana: Client, conversation: str) -> None:
    events = ana.events()
    await upto(events, is_connected)
    await ana.typing(conversation)
    *_, refused = await upto(events, is_refused)
    assert isinstance(refused, RequestRefused)
    assert refused.conversation_id is not None
    assert conversation.startswith(refused.conversation_id)


async def test_a_watch_that_is_refused_for_now_is_asked_for_again(
    ana: Client, bruno: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upto(bruno.events(), is_connected)
    watch, refusals = Watching.watch, [Overloaded("too many are watched")]

    def refusing(*a: Any) -> None:
        if refusals:
            raise refusals.pop()
        watch(*a)

    monkeypatch.setattr(Watching, "watch", refusing)
    events = ana.events()
    await upto(events, is_connected)
    await ana.watch("bruno")
    *before, _ = await upto(events, is_just(PresenceChanged("bruno", "online", None)))
    (refused,) = filter(is_refused, before)
    assert isinstance(refused, RequestRefused)
    assert (refused.request, refused.conversation_id) == ("watch", None)
    assert isinstance(refused.error, Unavailable)
    assert refused.error.retry_after


async def test_positions_that_are_refused_end_the_loop(ana: Client) -> None:
    """Nothing would ever come: no `resumed`, and heartbeats for ever."""
    since: Any = {"positions": {"no id at all": "1.0"}, "generation": None}
    with pytest.raises(Defect, match="positions"):
        await upto(ana.events(since), is_connected)


def test_an_error_about_something_else_is_no_event() -> None:
    for ref in (None, "", "7", "resume", "watch-list"):
        fields = {"type": "error", "problem": "x", "title": "x", "status": 404, "detail": "x"}
        frame: Any = read_frame(msgspec.json.encode({**fields, "ref": ref}))
        assert refused_by(frame) is None


def test_a_reference_has_the_whole_id() -> None:
    assert typing_ref(CHAT) == f"typing {CHAT}"
    assert len(typing_ref("x" * 500)) == 128


def test_errors_are_those_of_calls() -> None:
    assert isinstance(error_of(422, Answered()), InvalidInput)
    error = error_of(429, Answered(), retry_after=3)
    assert isinstance(error, Unavailable)
    assert error.retry_after == 3
