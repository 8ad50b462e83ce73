"""Routers that are frozen or killed at any read or write, and what the next one makes of it.

At every step, not at one that a test chose: reads of the store, writes of each of its partitions,
the announcement and the commit.
"""

import uuid

import pytest

from tests.faults import two_routers
from tests.faults.two_routers import TwoRouters
from tests.records import CHATS, deletion, edit, reaction, record

POISON = b'{"content": "\\ud800"}'
OWN = str(uuid.UUID(int=7))

STEPS = range(1, 22)
"""More than a batch of these records takes."""

STEPS_OF_CHANGES = range(1, 40, 2)

IDLE = 60


async def append_a_bit_of_all(group: TwoRouters) -> None:
    """Over the edge of a bucket: two chats, an id used again, a record that nobody can process."""
    await group.machine.append(
        record("a"),
        record("b", message_id=OWN),
        POISON,
        record("c", chat=CHATS[1]),
        record("b again", message_id=OWN),
        *[record(f"{n}") for n in range(5)],
    )


async def append_changes(group: TwoRouters) -> None:
    """Over the edge of a bucket of changes too; one has an id that is used again."""
    await group.machine.append(
        record("changed"),
        edit("b edited", seq=2, change_id=OWN),
        reaction("👍", author="ana"),
        deletion(3),
        edit("b edited again", seq=2, change_id=OWN),
        edit("too late", seq=3),
        *[edit(f"{n}") for n in range(4)],
        reaction("👍", author="ana", given=False),
    )


async def go_on(group: TwoRouters, router: int, steps: int = IDLE) -> None:
    for _ in range(steps):
        await group.advance(router)


@pytest.mark.parametrize("left", ["nothing", "part", "late"])
def test_one_that_is_killed_at_any_step_changes_nothing(left: str) -> None:
    for step in STEPS:

        async def killed(group: TwoRouters, step: int = step) -> None:
            await append_a_bit_of_all(group)
            await go_on(group, 0, step)
            group.assign(1)
            await group.kill(0, part=left == "part", late=left == "late")
            await go_on(group, 1, step)
            group.land()
            await append_a_bit_of_all(group)

        two_routers.run(killed)


@pytest.mark.thorough
@pytest.mark.parametrize("left", ["nothing", "part", "late", "frozen"])
def test_one_that_ends_or_is_frozen_at_any_step_of_changes_undoes_nothing(left: str) -> None:
    for step in STEPS_OF_CHANGES:

        async def ended(group: TwoRouters, step: int = step) -> None:
            await append_a_bit_of_all(group)
            await go_on(group, 0)
            await append_changes(group)
            await go_on(group, 0, step)
            group.assign(1)
            if left != "frozen":
                await group.kill(0, part=left == "part", late=left == "late")
            await append_changes(group)
            await go_on(group, 1)
            group.land()
            await go_on(group, 0, step)

        two_routers.run(ended)


@pytest.mark.thorough
@pytest.mark.parametrize("comes_back", [False, True])
def test_one_that_is_frozen_at_any_step_undoes_nothing(comes_back: bool) -> None:
    for step in STEPS:

        async def frozen(group: TwoRouters, step: int = step) -> None:
            await append_a_bit_of_all(group)
            await go_on(group, 0, step)
            group.assign(1)
            await append_a_bit_of_all(group)
            await go_on(group, 1)
            if comes_back:
                group.assign(0)
                await append_a_bit_of_all(group)
            await go_on(group, 0, step)

        two_routers.run(frozen)


@pytest.mark.thorough
def test_two_that_take_turns_at_any_step_number_alike() -> None:
    for step in STEPS:

        async def turns(group: TwoRouters, step: int = step) -> None:
            await append_a_bit_of_all(group)
            await go_on(group, 0, step)
            group.assign(1)
            for _ in range(IDLE):
                await group.advance(1)
                await group.advance(0)

        two_routers.run(turns)
