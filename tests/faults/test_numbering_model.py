"""Any interleaving of appends, duplicates, replays and stops equals the model in records.py."""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uuid_utils
from hypothesis import event, given, settings
from hypothesis import strategies as st

from chat4all.domain.changes import EMOJIS
from tests.faults import two_routers
from tests.faults.machine import STEPS, Machine, machine
from tests.faults.two_routers import TwoRouters
from tests.records import CHATS, deletion, edit, reaction, record

IDLE = 60
"""Steps after which a router has nothing left to do, most often."""

IDS = [f"0199f3a4-7c1e-7d2a-9b6e-{n:012d}" for n in range(4)]


@dataclass(frozen=True)
class Append:
    """A message; one that answers another, which may not be there, has all that is seldom."""

    chat: int
    sender: str
    message_id: int | None
    answers: int | None = None


@dataclass(frozen=True)
class Burst:
    """Some messages of one chat, which are numbered together."""

    chat: int
    count: int


@dataclass(frozen=True)
class Change:
    """A change of a message, which may be another's, or not be there."""

    chat: int
    author: str
    seq: int
    change_id: int | None
    what: str


@dataclass(frozen=True)
class Poison:
    value: bytes


@dataclass(frozen=True)
class Route:
    stop_after: str | None
    times: int
    poll_max: int


@dataclass(frozen=True)
class Replay:
    back: int


@dataclass(frozen=True)
class Advance:
    router: int
    steps: int
    which: int


@dataclass(frozen=True)
class Assign:
    router: int


@dataclass(frozen=True)
class Kill:
    router: int
    part: bool
    late: bool


@dataclass(frozen=True)
class Land:
    """The writes of killed routers arrive."""


appends = st.one_of(
    st.builds(
        Append,
        st.integers(0, 2),
        st.sampled_from(["ana", "bruno"]),
        st.none() | st.integers(0, len(IDS) - 1),
        st.none() | st.integers(1, 6),
    ),
    st.builds(
        Change,
        st.integers(0, 2),
        st.sampled_from(["ana", "bruno"]),
        st.integers(1, 6),
        st.none() | st.integers(0, len(IDS) - 1),
        st.sampled_from(["edit", "edit", "delete", "delete as admin", "react", "unreact"]),
    ),
    st.builds(Poison, st.sampled_from([b"", b"[]", b'{"type":"?"}', b'{"content":"\\ud800"}'])),
)
of_one_router = st.lists(
    appends
    | st.builds(Route, st.none() | st.sampled_from(STEPS), st.integers(1, 3), st.integers(1, 4))
    | st.builds(Replay, st.integers(1, 6)),
    min_size=3,
    max_size=25,
)
routers = st.integers(0, 1)
of_two_routers = st.lists(
    appends
    | st.builds(Burst, st.integers(0, 1), st.integers(2, 6))
    | st.builds(Advance, routers, st.sampled_from([1, 2, 3, 5, 8, 13, IDLE]), st.integers(0, 3))
    | st.builds(Assign, routers)
    | st.builds(Kill, routers, st.booleans(), st.booleans())
    | st.just(Land()),
    min_size=5,
    max_size=40,
)


async def _append(m: Machine, what: Append | Burst | Change | Poison, number: int) -> None:
    match what:
        case Burst(chat, count):
            for _ in range(count):
                await _append(m, Append(chat, "ana", None), number)
        case Append(chat, sender, index, answers):
            more: dict[str, Any] = {"chat": CHATS[chat], "sender": sender}
            if index is None:
                more |= {"message_id": str(uuid_utils.uuid7()), "fresh": True}
            else:
                more["message_id"] = IDS[index]
            if answers is not None:
                more |= {"v": 2, "kind": "custom", "payload": {"n": number}}
                more |= {"reply_seq": answers, "mentions": ["ana", f"user-{number}"]}
            await m.append(record(f"{number}", **more))
        case Change():
            await m.append(_change(what, number))
        case Poison(value):
            await m.append(value)


def _change(what: Change, number: int) -> bytes:
    made = str(uuid_utils.uuid7()) if what.change_id is None else IDS[what.change_id]
    about = {"chat": CHATS[what.chat], "author": what.author, "change_id": made}
    fresh = what.change_id is None
    match what.what:
        case "edit":
            return edit(f"edit {number}", what.seq, fresh=fresh, **about)
        case "delete" | "delete as admin":
            as_admin = what.what != "delete"
            return deletion(what.seq, fresh=fresh, as_admin=as_admin, **about)
        case _:
            given = what.what == "react"
            emoji = EMOJIS[what.seq % 2]
            return reaction(emoji, what.seq, given=given, fresh=fresh, **about)


async def _do(m: Machine, operation: object, number: int) -> None:
    match operation:
        case Append() | Change() | Poison():
            await _append(m, operation, number)
        case Route(stop_after, times, poll_max):
            m.poll_max = poll_max
            await m.route(stop_after, times)
        case Replay(back):
            m.committed = max(0, m.committed - back)
    event(type(operation).__name__)


def equals_the_model(operations: Sequence[object], *, on_disk: bool) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() if on_disk else nullcontext() as folder:
            async with machine(None if folder is None else Path(folder)) as m:
                for number, operation in enumerate(operations):
                    await _do(m, operation, number)
                await m.route()
                await m.check()

    asyncio.run(run())


def two_equal_the_model(operations: Sequence[object]) -> None:
    async def steps(group: TwoRouters) -> None:
        for number, operation in enumerate(operations):
            match operation:
                case Append() | Burst() | Change() | Poison():
                    await _append(group.machine, operation, number)
                case Advance(router, count, which):
                    for _ in range(count):
                        await group.advance(router, which)
                case Assign(router):
                    group.assign(router)
                case Kill(router, part, late):
                    await group.kill(router, part=part, late=late)
                case Land():
                    group.land()
            event(type(operation).__name__)

    two_routers.run(steps)


@pytest.mark.thorough
@settings(max_examples=15)
@given(of_one_router)
def test_any_interleaving_equals_the_model_on_disk(found: list[object]) -> None:
    equals_the_model(found, on_disk=True)


@pytest.mark.thorough
@settings(max_examples=50)
@given(of_one_router)
def test_any_interleaving_equals_the_model_where_the_last_write_wins(found: list[object]) -> None:
    equals_the_model(found, on_disk=False)


@pytest.mark.thorough
@settings(max_examples=25)
@given(of_two_routers)
def test_two_routers_at_once_equal_the_model(found: list[object]) -> None:
    two_equal_the_model(found)


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=150)
@given(of_one_router)
def test_many_interleavings_equal_the_model_on_disk(found: list[object]) -> None:
    equals_the_model(found, on_disk=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=400)
@given(of_two_routers)
def test_two_routers_at_once_equal_the_model_in_many_orders(found: list[object]) -> None:
    two_equal_the_model(found)
