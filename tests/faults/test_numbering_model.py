"""Any interleaving of appends, duplicates, replays and stops equals the model in records.py."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import uuid_utils
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.faults.machine import STEPS, Machine, machine
from tests.records import CHATS, record

IDS = [f"0199f3a4-7c1e-7d2a-9b6e-{n:012d}" for n in range(4)]


@dataclass(frozen=True)
class Append:
    chat: int
    sender: str
    message_id: int | None


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


operations = st.lists(
    st.one_of(
        st.builds(
            Append,
            st.integers(0, 2),
            st.sampled_from(["ana", "bruno"]),
            st.none() | st.integers(0, len(IDS) - 1),
        ),
        st.builds(Poison, st.sampled_from([b"", b"[]", b'{"type":"?"}', b'{"content":"\\ud800"}'])),
        st.builds(Route, st.none() | st.sampled_from(STEPS), st.integers(1, 3), st.integers(1, 4)),
        st.builds(Replay, st.integers(1, 6)),
    ),
    min_size=3,
    max_size=25,
)


async def _do(m: Machine, operation: Append | Poison | Route | Replay, number: int) -> None:
    match operation:
        case Append(chat, sender, None):
            fresh = str(uuid_utils.uuid7())
            await m.append(
                record(f"{number}", chat=CHATS[chat], sender=sender, message_id=fresh, fresh=True)
            )
        case Append(chat, sender, int(index)):
            own = IDS[index]
            await m.append(record(f"{number}", chat=CHATS[chat], sender=sender, message_id=own))
        case Poison(value):
            await m.append(value)
        case Route(stop_after, times, poll_max):
            m.poll_max = poll_max
            await m.route(stop_after, times)
        case Replay(back):
            m.committed = max(0, m.committed - back)
    event(type(operation).__name__)


@settings(max_examples=150)
@given(operations)
def test_any_interleaving_equals_the_model(found: list[Append | Poison | Route | Replay]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with machine(Path(folder)) as m:
                for number, operation in enumerate(found):
                    await _do(m, operation, number)
                await m.route()
                await m.check()

    asyncio.run(run())
