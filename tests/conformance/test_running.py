"""Drivers that do not do what drivers do, and what is said of them."""

import asyncio
import sys
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.data import CONVERSATIONS, Json, Run, Scenario, message_id, scenarios
from tests.conformance.reference.program import reference
from tests.conformance.running import CommandDriver, Go, Tell, found_out, play
from tests.conformance.store import message_of

pytestmark = pytest.mark.anyio

CHAT = CONVERSATIONS["@A"]

REFERENCE = [sys.executable, "-m", "tests.conformance.reference"]


def created(seq: int, position: str | None = None) -> Json:
    message = message_of(CHAT, seq, f"m{seq}")
    return {"type": "MessageCreated", "message": message, "position": position or f"{seq}.0"}


class OverrunError(Exception):
    """The reader was too slow."""


SAVED = {"type": "Saved", "positions": {CHAT: "2.0"}, "generation": "g1"}
CONNECTED = {"type": "Connected"}
LOST = {"type": "Disconnected"}
FAILED = {"type": "Failed", "error": "Refused"}
ENDED = {"type": "Ended", "error": "Defect"}


async def wrong_of(*lines: Json, **others: Any) -> str:
    """Return what is wrong about these lines, where two messages are expected."""

    async def drive(program: Json, tell: Tell, go: Go) -> None:
        for line in lines:
            tell(line)

    events = [["created_from", CHAT, 1, 2]]
    run = Run({}, **{"events": events, "positions": {CHAT: "2.0"}, "connected": 1, **others})
    try:
        await play(Scenario("one", "It is right.", [run], {}), drive)
    except AssertionError as error:
        return str(error)
    return ""


async def test_what_is_right_passes() -> None:
    end = {"type": "Typing", "conversation_id": CHAT, "username": "end"}
    assert await wrong_of(CONNECTED, created(1), created(2), end, SAVED) == ""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([CONNECTED, created(1), SAVED], r"was not told: \['created', '@A', 2"),
        ([CONNECTED, created(2), created(1), SAVED], r"was told: \['created', '@A', 2"),
        ([CONNECTED, created(1), created(1), SAVED], r"was told: \['created', '@A', 1"),
        ([CONNECTED, created(1), created(2), created(3)], "nothing more was expected"),
        ([CONNECTED, created(1, "3.0")], "message 1 has the position 3.0"),
        ([CONNECTED, {"type": "Shout"}], "there is no event"),
        ([CONNECTED, {"type": "MessageCreated"}], "not as it should be"),
        ([created(1), created(2), SAVED], "Connected was told 0 times"),
        ([LOST, CONNECTED, created(1), created(2), SAVED], "do not alternate"),
        ([CONNECTED, CONNECTED, created(1), created(2), SAVED], "do not alternate"),
        ([CONNECTED, created(1), created(2)], "positions at the end are None"),
        ([CONNECTED, created(1), created(2), FAILED, SAVED], "the action failed"),
        ([CONNECTED, created(1), created(2), ENDED, SAVED], "the loop over the events raised"),
    ],
)
async def test_what_is_wrong_is_said(lines: list[Json], said: str) -> None:
    wrong = await wrong_of(*lines)
    assert wrong.startswith("one: It is right.\n")
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(wrong)


async def test_a_reload_has_what_the_history_had() -> None:
    messages = [message_of(CHAT, seq, f"m{seq}") for seq in (1, 2)]
    event = {"type": "MessagesReloaded", "conversation_id": CHAT, "position": "2.0"}
    expected = {"events": [["reloaded", CHAT, 1, 2, "2.0"]]}
    wrong = await wrong_of(CONNECTED, {**event, "messages": messages}, **expected)
    assert "was never in the history" in wrong
    wrong = await wrong_of(CONNECTED, {**event, "messages": messages[::-1]}, **expected)
    assert "holes, doubles or another order" in wrong


async def test_a_driver_that_raises_is_told_with_its_traceback() -> None:
    async def drive(program: Json, tell: Tell, go: Go) -> None:
        raise RuntimeError("out of order")

    found = await found_out(drive, ["history"])
    assert "RuntimeError: out of order" in found["history"]


async def test_a_driver_that_hangs_is_ended_when_nothing_happens() -> None:
    async def drive(program: Json, tell: Tell, go: Go) -> None:
        await asyncio.Event().wait()

    found = await found_out(drive, ["history"], 0.1)
    assert "nothing has happened for 0.1 s" in found["history"]


@pytest.mark.slow
async def test_a_reader_may_be_told_that_it_is_too_slow() -> None:
    async def drive(program: Json, tell: Tell, go: Go) -> None:
        async def gone() -> None:
            await go()
            raise OverrunError

        with pytest.raises(OverrunError):
            await reference()(program, tell, gone)
        tell({"type": "Ended", "error": "Overrun"})

    slow_reader = scenarios()["slow_reader"]
    await play(slow_reader, drive)
    (run,) = slow_reader.runs
    strict = replace(slow_reader, runs=[replace(run, may_overrun=False)])
    with pytest.raises(AssertionError, match="the loop over the events raised"):
        await play(strict, drive)


def test_a_scenario_needs_what_a_page_cannot_do() -> None:
    every, some = scenarios(), scenarios(without={"handshake_status"})
    assert every.keys() - some.keys() == {"handshake_retry_after"}


def test_ids_stand_in_the_place_of_their_names() -> None:
    program = scenarios()["id_of_the_program"].runs[0].program
    assert program["actions"][0]["message_id"] == message_id(CHAT, 77)
    positions = scenarios()["positions_in_many_frames"].runs[0].program["since"]["positions"]
    assert len(positions) == 1501


# Commands.


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "plain_delivery",
        "taken_when_the_next_is_asked_for",
        "slow_reader",
        "positions_in_many_frames",
    ],
)
async def test_a_command_is_a_driver(name: str) -> None:
    await play(scenarios()[name], CommandDriver(REFERENCE))


@pytest.mark.slow
async def test_a_mutant_is_found_out() -> None:
    names = ["lost_answer", "plain_delivery"]
    found = await found_out(CommandDriver([*REFERENCE, "--mutant", "new-id"]), names)
    assert found.keys() == {"lost_answer"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('hello')", "printed what is no JSON: b'hello"),
        ("import sys; sys.exit('no such option')", r"status 1:\nno such option"),
        ("import time; time.sleep(60)", "nothing has happened"),
    ],
)
async def test_a_command_that_is_no_driver_is_told(code: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        await play(scenarios()["history"], CommandDriver([sys.executable, "-c", code]), 3.0)
