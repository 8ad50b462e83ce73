"""What `chat4all tail` prints and keeps, with a client that says what a test wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from chat4all.client import (
    Client,
    Connected,
    ConversationChanged,
    Disconnected,
    Event,
    ListedConversation,
    MessageChanged,
    MessageCreated,
    MessagesReloaded,
    Page,
    Positions,
    ReadMoved,
    Typing,
    Unavailable,
)
from chat4all.terminal.cursors import opened
from chat4all.terminal.failing import Failed
from chat4all.terminal.following import begin, each
from chat4all.terminal.output import Output
from chat4all.terminal.telling import Teller
from tests.terminal.made import listed, message

pytestmark = pytest.mark.anyio

ONE, OTHER = listed(1, title="Equipe", position="1.0"), listed(2, peer="bruno", position="7.0")
CHAT = ONE.conversation_id


class Ended(Exception):
    """There is no further event."""


class Scripted:
    """A client: the events of one run, each with the positions that it moves."""

    def __init__(self, *events: Event, page: Page | None = None) -> None:
        self._events = events
        self._page = page
        self.since: Positions | None = None
        self._taken: dict[str, str] = {}
        self._generation: str | None = None

    @property
    def positions(self) -> Positions:
        return {"positions": dict(self._taken), "generation": self._generation}

    async def conversations(self, limit: int) -> AsyncIterator[ListedConversation]:
        for one in (ONE, OTHER):
            yield one

    async def history(self, conversation: str, limit: int) -> AsyncIterator[Page]:
        if self._page is not None:
            yield self._page

    async def conversation(self, conversation: str) -> ListedConversation:
        return next(one for one in (ONE, OTHER) if one.conversation_id == conversation)

    async def events(self, since: Positions | None) -> AsyncIterator[Event]:
        self.since = since
        if since is not None:
            self._taken, self._generation = dict(since["positions"]), since["generation"]
        for event in self._events:
            if isinstance(event, Connected):
                self._generation = "g1"
            yield event
            match event:
                case MessageCreated(said, position) | MessageChanged(said, position):
                    self._taken[said.conversation_id] = position
                case MessagesReloaded(conversation, _, position):
                    self._taken[conversation] = position
                case ConversationChanged(conversation, "added") if since is None:
                    self._taken[conversation] = "0.0"
        raise Ended


async def tail(
    folder: Path,
    *events: Event,
    only: str | None = None,
    last: int | None = None,
    as_text: bool = False,
    all_events: bool = False,
    page: Page | None = None,
    stop_after: int | None = None,
    name: str = "all",
) -> Scripted:
    """Do what the command does, until there is no further event or so many lines were printed."""
    scripted, output = Scripted(*events, page=page), Output(as_json=not as_text)
    put, printed = output.put, 0

    async def put_until_stopped(text: str) -> None:
        nonlocal printed
        if printed == stop_after:
            raise asyncio.CancelledError
        await put(text)
        printed += 1

    output.put = put_until_stopped  # type: ignore[method-assign]
    with opened(folder, name) as cursor:
        followed = await begin(cast("Client", scripted), cursor, only, last)
        teller = Teller(output, followed, all_events=all_events)
        try:
            if followed.shown is not None:
                await teller.messages(followed.shown.messages, followed.shown.position)
            async with aclosing(each(followed)) as found:
                async for event in found:
                    await teller.event(event)
        except (Ended, asyncio.CancelledError):
            pass
    return scripted


def created(seq: int, **fields: Any) -> MessageCreated:
    return MessageCreated(message(seq, **fields), f"{seq}.0")


def reloaded(*seqs: int) -> MessagesReloaded:
    return MessagesReloaded(CHAT, tuple(map(message, seqs)), f"{seqs[-1]}.9", True)


async def test_it_tells_where_older_messages_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    newest = MessagesReloaded(CHAT, (message(9), message(10)), "10.0", False, has_older=True)
    await tail(tmp_path, Connected("ana"), newest)
    printed = capfd.readouterr()
    assert [json.loads(line)["message"]["seq"] for line in printed.out.splitlines()] == [9, 10]
    assert f"`chat4all history {CHAT} --before 9`" in printed.err


def rows(capfd: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def seqs(capfd: pytest.CaptureFixture[str]) -> Sequence[int]:
    return [row["message"]["seq"] for row in rows(capfd)]


BEGINNING = (
    ConversationChanged(CHAT, "added"),
    ConversationChanged(OTHER.conversation_id, "added"),
    Connected("ana"),
)


async def test_a_line_has_the_shape_of_the_interface(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await tail(tmp_path, *BEGINNING, created(1), MessageChanged(message(1, "new"), "1.1"))
    first, second = rows(capfd)
    assert (first["type"], first["position"]) == ("message", "1.0")
    assert first["message"]["content"] == "Olá!"
    assert (second["type"], second["position"]) == ("message_changed", "1.1")


async def test_the_next_run_goes_on_behind_the_last_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = await tail(tmp_path, *BEGINNING, created(1), created(2), created(3), stop_after=2)
    assert first.since is None
    second = await tail(tmp_path)
    assert second.since == {
        "positions": {CHAT: "2.0", OTHER.conversation_id: "0.0"},
        "generation": "g1",
    }
    assert seqs(capfd) == [1, 2]


async def test_a_first_run_that_was_never_connected_leaves_no_place(tmp_path: Path) -> None:
    """With a place of some conversations the others would be new ones in the next run."""
    await tail(tmp_path, *BEGINNING[:2])
    assert (await tail(tmp_path)).since is None


async def test_a_batch_that_was_printed_in_part_is_printed_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await tail(tmp_path, *BEGINNING, created(1))
    await tail(tmp_path, reloaded(2, 3, 4), stop_after=2)
    again = await tail(tmp_path, reloaded(2, 3, 4), reloaded(5, 6))
    assert again.since is not None
    assert again.since["positions"][CHAT] == "1.0"
    assert seqs(capfd) == [1, 2, 3, 4, 5, 6]
    assert (await tail(tmp_path)).since == {
        "positions": {CHAT: "6.9", OTHER.conversation_id: "0.0"},
        "generation": "g1",
    }


async def test_a_batch_in_part_is_remembered_though_others_come_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = created(8, conversation_id=OTHER.conversation_id)
    await tail(tmp_path, *BEGINNING, created(1))
    await tail(tmp_path, reloaded(2, 3, 4), stop_after=2)
    await tail(tmp_path, elsewhere, reloaded(2, 3, 4))
    assert seqs(capfd) == [1, 2, 3, 8, 4]


async def test_one_conversation_is_followed_and_nothing_of_others_fetched(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = created(8, conversation_id=OTHER.conversation_id)
    first = await tail(tmp_path, Connected("ana"), created(2), elsewhere, only=CHAT)
    assert first.since == {
        "positions": {CHAT: "1.0", OTHER.conversation_id: "7.0"},
        "generation": None,
    }
    second = await tail(tmp_path, only=CHAT)
    assert second.since == {
        "positions": {CHAT: "2.0", OTHER.conversation_id: "7.0"},
        "generation": "g1",
    }
    assert seqs(capfd) == [2]


async def test_last_begins_with_a_page_and_prints_nothing_of_it_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await tail(tmp_path, Connected("ana"), created(2), only=CHAT)
    page = Page((message(2), message(3)), "2.0")
    found = await tail(
        tmp_path, created(3), Connected("ana"), created(4), only=CHAT, last=2, page=page
    )
    assert found.since is not None
    assert found.since["positions"][CHAT] == "2.0"
    await tail(tmp_path, reloaded(3, 4), only=CHAT, last=2, page=page)
    assert seqs(capfd) == [2, 2, 3, 4, 2, 3, 4]


async def test_a_place_is_for_one_process(tmp_path: Path) -> None:
    with opened(tmp_path, "all"), pytest.raises(Failed, match="another `chat4all tail`"):
        await tail(tmp_path)
    await tail(tmp_path, *BEGINNING)
    for name in ("all.json", "all.lock"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


async def test_a_damaged_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text("{}")
    with pytest.raises(Failed, match=r"all\.json is damaged: remove it"):
        await tail(tmp_path)


OTHERS = (
    ReadMoved(CHAT, "bruno", 3),
    Typing(CHAT, "bruno"),
    ConversationChanged(CHAT, "changed"),
    ConversationChanged(OTHER.conversation_id, "removed"),
)


async def test_what_else_happens_is_printed_when_it_is_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await tail(tmp_path, *BEGINNING, *OTHERS)
    assert rows(capfd) == []
    await tail(tmp_path, *BEGINNING, *OTHERS, all_events=True, name="another")
    assert rows(capfd) == [
        {"conversation_id": CHAT, "type": "read", "username": "bruno", "seq": 3},
        {"conversation_id": CHAT, "type": "typing", "username": "bruno"},
        {"conversation_id": CHAT, "type": "conversation", "event": "changed"},
        {
            "conversation_id": OTHER.conversation_id,
            "type": "conversation",
            "event": "removed",
        },
    ]


async def test_people_read_names_and_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edited = MessageChanged(message(1, "Olá, Ana!", edited_at="2026-01-31T12:01:00Z"), "1.1")
    await tail(tmp_path, *BEGINNING, created(1), edited, *OTHERS, as_text=True, all_events=True)
    lines = capfd.readouterr().out.splitlines()
    assert [line[11:] for line in lines if line.startswith("  ")] == [
        "[Equipe] ana: Olá!",
        "✎ [Equipe] ana: Olá, Ana!  (edited)",
        "[Equipe] bruno has read up to message 3",
        "[Equipe] bruno is typing",
        "[Equipe] Equipe was changed",
        "[bruno] You are not in it any more",
    ]


async def test_breaks_are_told_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """But for the end of a token, which comes every half an hour."""
    breaks = (
        Disconnected(1012, "restarting"),
        Disconnected(1006, ""),
        Disconnected(4401, "the token has expired"),
    )
    await tail(tmp_path, *BEGINNING, *breaks)
    found = capfd.readouterr()
    assert found.out == ""
    assert found.err.splitlines() == [
        "chat4all: restarting; connecting again",
        "chat4all: the connection was closed with 1006; connecting again",
    ]


async def test_it_ends_with_the_membership(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="you are not in Equipe any more"):
        await tail(tmp_path, Connected("ana"), ConversationChanged(CHAT, "removed"), only=CHAT)
    with pytest.raises(Failed, match="you are in no such conversation"):
        await tail(tmp_path, only="00000000-0000-4000-8000-000000000009")


async def test_events_that_do_not_come_are_waited_for_as_long_as_told(tmp_path: Path) -> None:
    class Silent(Scripted):
        async def events(self, since: Positions | None) -> AsyncIterator[Event]:
            await asyncio.Event().wait()
            yield Connected("ana")

    with opened(tmp_path, "all") as cursor:
        followed = await begin(cast("Client", Silent()), cursor, None, None)
        with pytest.raises(Unavailable, match="no connection for live events"):
            await anext(each(followed, 0.01))
