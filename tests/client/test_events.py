"""The loop over events, against the whole system."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chat4all.client import (
    Client,
    Closed,
    Connected,
    ConversationChanged,
    Disconnected,
    Event,
    Events,
    MessageChanged,
    MessageCreated,
    MessagesReloaded,
    PresenceChanged,
    ReadMoved,
    Typing,
    reloading,
    tokens,
)
from tests.api.conftest import CHAT
from tests.client.conftest import Served

pytestmark = pytest.mark.anyio

SECONDS = 30.0


async def upto(events: Events, is_last: Callable[[Event], object]) -> list[Event]:
    """Return events up to the first one that is as asked for."""
    found: list[Event] = []
    async with asyncio.timeout(SECONDS):
        async for event in events:
            found.append(event)
            if is_last(event):
                break
    return found


def is_message(content: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, MessageCreated) and event.message.content == content


def is_just(expected: Event) -> Callable[[Event], object]:
    return lambda event: event == expected


def is_connected(event: Event) -> bool:
    return isinstance(event, Connected)


def contents(events: list[Event]) -> list[str]:
    return [event.message.content for event in events if isinstance(event, MessageCreated)]


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Fail if tasks of the client are left that were not there before."""
    before = asyncio.all_tasks()
    yield
    left = [task.get_coro() for task in asyncio.all_tasks() - before]
    files = [
        coroutine.cr_code.co_filename  # type: ignore[union-attr]
        for coroutine in left
    ]
    assert [one for one in files if "/chat4all/client/" in one or "/websockets/" in one] == []


async def test_a_client_is_called_inside_its_loop(ana: Client, bruno: Client) -> None:
    async def echo() -> None:
        async for event in ana.events():
            match event:
                case Connected():
                    await bruno.send(CHAT, "one")
                case MessageCreated(message) if message.sender_id != "ana":
                    await ana.send(message.conversation_id, f"echo {message.content}")

    echoing = asyncio.create_task(echo())
    found = await upto(bruno.events(), is_message("echo one"))
    assert contents(found)[-2:] == ["one", "echo one"]
    echoing.cancel()


async def test_every_kind_of_event(served: Served, ana: Client, bruno: Client) -> None:
    events = ana.events()
    begun = await upto(events, is_connected)
    assert begun == [ConversationChanged(CHAT, "added"), Connected("ana")]

    await upto(bruno.events(), is_connected)
    await ana.watch("bruno")
    await upto(events, is_just(PresenceChanged("bruno", "online", None)))
    await bruno.typing(CHAT)
    await upto(events, is_just(Typing(CHAT, "bruno")))
    first = await bruno.send(CHAT, "first")
    await upto(events, is_message("first"))
    await ana.read(CHAT, 1)
    await upto(events, is_just(ReadMoved(CHAT, "ana", 1)))
    await bruno.edit(CHAT, first, "edited")
    *_, changed = await upto(events, lambda event: isinstance(event, MessageChanged))
    assert isinstance(changed, MessageChanged)
    assert (changed.message.content, changed.position) == ("edited", "1.1")


async def test_a_conversation_comes_and_goes(served: Served, ana: Client, bruno: Client) -> None:
    events = ana.events()
    await upto(events, is_connected)
    group = (await bruno.create_group("Old")).conversation_id
    await bruno.send(group, "before")
    await served.api.routed()
    await bruno.add_member(group, "ana")
    found = await upto(events, lambda event: isinstance(event, MessagesReloaded))
    assert found[-2] == ConversationChanged(group, "added")
    assert isinstance(found[-1], MessagesReloaded)
    assert [one.content for one in found[-1].messages] == ["before"]
    await bruno.send(group, "after")
    await upto(events, is_message("after"))
    await bruno.change_conversation(group, title="New")
    await upto(events, is_just(ConversationChanged(group, "changed")))
    assert ana.positions["positions"][group] == "2.0"
    await bruno.remove_member(group, "ana")
    await upto(events, is_just(ConversationChanged(group, "removed")))
    await bruno.send(CHAT, "elsewhere")
    await upto(events, is_message("elsewhere"))
    assert group not in ana.positions["positions"]


async def test_an_event_is_taken_when_the_next_one_is_asked_for(
    served: Served, bruno: Client
) -> None:
    async with served.client("ana") as ana:
        events = ana.events()
        await upto(events, is_connected)
        for content in ("one", "two", "three"):
            await bruno.send(CHAT, content)
        await upto(events, is_message("two"))
        saved = json.loads(json.dumps(ana.positions))
        assert saved["positions"][CHAT] == "1.0"
    await bruno.send(CHAT, "four")
    async with served.client("ana") as ana:
        found = await upto(ana.events(since=saved), is_message("four"))
        assert contents(found) == ["two", "three", "four"]


@pytest.mark.thorough
async def test_a_cancelled_task_loses_nothing(served: Served, bruno: Client) -> None:
    async with nothing_left(), served.client("ana") as ana:
        events = ana.events()
        await upto(events, is_connected)
        count = 30

        async def send() -> None:
            for number in range(count):
                await bruno.send(CHAT, str(number))

        sending = asyncio.create_task(send())
        found: list[str] = []
        while len(found) < count:
            waiting = asyncio.create_task(anext(events))
            await asyncio.wait([waiting], timeout=0.002)
            if not waiting.done():
                waiting.cancel()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                found += contents([waiting.result()])
        assert found == [str(number) for number in range(count)]
        await sending


async def test_cancelling_a_loop_leaves_nothing(served: Served) -> None:
    async with nothing_left():
        begun = asyncio.Event()

        async def follow() -> None:
            async with served.client("ana") as ana:
                async for event in ana.events():
                    if is_connected(event):
                        begun.set()

        following = asyncio.create_task(follow())
        async with asyncio.timeout(SECONDS):
            await begun.wait()
        following.cancel()
        await asyncio.wait([following])
        assert following.cancelled()


async def test_a_loop_whose_connection_is_cancelled_ends(ana: Client) -> None:
    """A program may cancel every task that there is, this one too; it would wait for ever."""
    events = ana.events()
    await upto(events, is_connected)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    (connection,) = (one for one in asyncio.all_tasks() if one.get_name() == "chat4all-events")
    connection.cancel()
    async with asyncio.timeout(SECONDS):
        with pytest.raises(Closed):
            await waiting


async def test_a_new_loop_goes_on_and_ends_the_one_before(ana: Client, bruno: Client) -> None:
    first = ana.events()
    await upto(first, is_connected)
    await bruno.send(CHAT, "one")
    await upto(first, is_message("one"))
    await bruno.send(CHAT, "two")
    found = await upto(ana.events(), is_message("two"))
    assert contents(found) == ["one", "two"]  # "one" was not taken: nothing was asked for after it
    with pytest.raises(Closed):
        await anext(first)


async def test_a_loop_that_takes_over_keeps_its_connection(ana: Client) -> None:
    """The one before may need a while to close its own."""
    first = ana.events()
    await upto(first, is_connected)
    assert ana._live.socket is not None
    connection, may_close = ana._live.socket._connection, asyncio.Event()
    close = connection.close

    async def slowly() -> None:
        await may_close.wait()
        await close()

    connection.close = slowly  # type: ignore[assignment,method-assign]
    second = ana.events()
    await upto(second, is_connected)
    may_close.set()
    await first.aclose()
    assert ana._live.socket is not None


async def test_closing_leaves_nothing_of_earlier_loops(served: Served) -> None:
    async with nothing_left(), served.client("ana", on_tokens=lambda _: None) as ana:
        await upto(ana.events(), is_connected)
        ana.events()


async def test_closing_that_is_cancelled_leaves_no_connections(ana: Client) -> None:
    await ana.me()
    begun = asyncio.Event()

    async def once(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    ana._caller.once = once  # type: ignore[method-assign,assignment]
    closing = asyncio.create_task(ana.close())
    await begun.wait()
    closing.cancel()
    await asyncio.wait([closing])
    assert ana._caller._http is None
    ana._owns_session = False


async def test_what_comes_between_two_loops_is_not_lost(served: Served, bruno: Client) -> None:
    """Even in the first conversation that there is."""
    await Client.sign_up(served.url, "carla", "carla@example.com", "long enough")
    async with Client(served.url, "carla", "long enough") as carla:
        await upto(carla.events(), is_connected)
        group = (await bruno.create_group("New", ["carla"])).conversation_id
        await bruno.send(group, "welcome")
        await served.api.routed()
        found = await upto(carla.events(), is_connected)
    reloads = [event for event in found if isinstance(event, MessagesReloaded)]
    assert [[one.content for one in event.messages] for event in reloads] == [["welcome"]]


async def test_no_secret_and_no_content_is_logged(
    ana: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    events = ana.events()
    await upto(events, is_connected)
    await ana.send(CHAT, "quite private")
    await upto(events, is_message("quite private"))
    assert ana._tokens._token is not None
    lines = [one for one in caplog.records if not one.name.startswith("chat4all.gateway")]
    assert lines
    text = "\n".join(one.getMessage() for one in lines)
    assert ana._tokens._token not in text
    assert "quite private" not in text


async def test_a_connection_that_is_lost_comes_back(
    served: Served, ana: Client, bruno: Client
) -> None:
    events = ana.events()
    await upto(events, is_connected)
    for content in ("one", "two"):
        assert ana._live.socket is not None
        ana._live.socket._connection.transport.abort()
        await bruno.send(CHAT, content)
        found = await upto(events, is_message(content))
        told = [event for event in found if isinstance(event, Connected | Disconnected)]
        assert [type(event) for event in told][:1] == [Disconnected]
        assert contents(found) == [content]
        if not any(map(is_connected, found)):
            await upto(events, is_connected)


async def test_a_long_reload_comes_in_several(
    served: Served, ana: Client, bruno: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "AT_ONCE", 2)
    monkeypatch.setattr(reloading, "PAGE_MAX", 2)
    for number in range(7):
        await bruno.send(CHAT, str(number))
    await served.api.routed()
    # A position that the server never gave is one that it cannot resume from.
    since: Any = {"positions": {CHAT: "2.9"}, "generation": None}
    found = await upto(
        ana.events(since), lambda event: getattr(event, "position", "").startswith("7.0")
    )
    reloads = [event for event in found if isinstance(event, MessagesReloaded)]
    assert [[one.seq for one in event.messages] for event in reloads] == [[3, 4], [5, 6], [7]]
    assert [event.position for event in reloads] == ["4.9", "6.9", "7.0"]


async def test_the_token_is_renewed_on_the_open_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "RENEWED_AT", 0.0001)  # of half an hour
    told: list[str] = []

    def keep(token: Any) -> None:
        told.append(token.access_token)

    async with served.client("ana", on_tokens=keep) as ana:
        ana._pace.factor = 1.0
        following = asyncio.create_task(upto(ana.events(), is_message("end")))
        async with asyncio.timeout(SECONDS):
            while len(told) < 3 or ana._live.socket is None or ana._live.socket._token != told[-1]:
                await asyncio.sleep(0.01)
        await ana.send(CHAT, "end")
        assert [e for e in await following if isinstance(e, Disconnected)] == []
        await ana.logout()
