"""Two gateways and one upload: one of them stands still at a named step, and is overtaken."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.sql import uploads as sql_uploads
from chat4all.adapters.sql.file_rows import lock_file
from chat4all.domain.errors import Conflict, Fenced, OutcomeUnknown, Unavailable
from chat4all.domain.files import FILE_MAX, PART_BYTES, FileId, FileState, Progress
from chat4all.usecases import writing_parts
from chat4all.usecases.bodies import BodyBroken, Checksum
from tests.contract.test_directory import ANA
from tests.contract.test_uploads import new_upload
from tests.uploads import Body, World, world_in

pytestmark = pytest.mark.anyio

PART = 1_000
Patch = pytest.MonkeyPatch


@pytest.fixture
async def world(monkeypatch: Patch, tmp_path: Path) -> AsyncIterator[World]:
    monkeypatch.setattr(writing_parts, "PART_BYTES", PART)
    async with world_in(tmp_path) as found:
        yield found


@asynccontextmanager
async def standing_still(world: World, step: str) -> AsyncIterator[Callable[[], None]]:
    """Stop the first who comes to a step; yield what lets it go on."""
    comes, goes_on = asyncio.Event(), asyncio.Event()

    async def stand_still() -> None:
        if not comes.is_set():
            comes.set()
            await goes_on.wait()

    world.steps.before[step] = stand_still
    try:
        yield goes_on.set
    finally:
        goes_on.set()


# Answers that are lost.


def losing_answers(world: World, patch: Patch) -> None:
    """Let progress be kept from now on, and every answer that says so be lost."""
    advance = world.uploads.advance

    async def lost(file_id: FileId, fence: int, progress: Progress) -> None:
        await advance(file_id, fence, progress)
        raise OutcomeUnknown("the metadata service does not answer")

    patch.setattr(world.uploads, "advance", lost)
    patch.setattr(writing_parts, "ADVANCE_SECONDS", 0)


@pytest.mark.parametrize("is_checked", [False, True], ids=["tail", "checked part"])
async def test_what_counts_is_kept_though_no_answer_said_so(
    world: World, monkeypatch: Patch, is_checked: bool
) -> None:
    """Fails when a request that does not know what counts deletes it."""
    content = b"o" * PART + b"tail"
    file_id = (await world.gateway().begin(new_upload(size=2 * PART))).file_id
    checksum = Checksum("sha256", hashlib.sha256(content).digest()) if is_checked else None
    with monkeypatch.context() as patched:
        losing_answers(world, patched)
        with pytest.raises(Unavailable):
            await world.gateway().append(ANA, file_id, 0, aiter(Body(content).end()), checksum)
    alive = world.gateway()
    kept = (await alive.settled(ANA, file_id)).progress.offset
    whole = content + bytes(2 * PART - len(content))
    await alive.append(ANA, file_id, kept, aiter(Body(whole[kept:]).end()))
    assert await world.content(file_id) == whole


async def test_a_tail_that_counts_is_kept_by_a_request_that_was_fenced(
    world: World, monkeypatch: Patch
) -> None:
    slow, alive = world.gateway(), world.gateway()
    file_id = (await alive.begin(new_upload(size=6))).file_id
    advance, tries = world.uploads.advance, 0

    async def lost_then_late(file_id: FileId, fence: int, progress: Progress) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await advance(file_id, fence, progress)
            raise OutcomeUnknown("the metadata service does not answer")
        assert (await alive.settled(ANA, file_id)).progress.offset == 3
        await advance(file_id, fence, progress)

    with monkeypatch.context() as patched:
        patched.setattr(world.uploads, "advance", lost_then_late)
        body = Body(b"abc").end(BodyBroken())
        with pytest.raises(Fenced):
            await slow.append(ANA, file_id, 0, aiter(body))
    await alive.append(ANA, file_id, 3, aiter(Body(b"def").end()))
    assert await world.content(file_id) == b"abcdef"


# A body that another gateway goes on with.


async def overtaken(world: World, step: str) -> None:
    """What another gateway acknowledged meanwhile is kept, and is all that is kept."""
    frozen, alive = world.gateway(), world.gateway()
    ours, theirs = b"o" * 3 * PART, b"t" * 2 * PART
    file_id = (await alive.begin(new_upload(size=3 * PART))).file_id
    async with standing_still(world, step) as go_on:
        adding = asyncio.create_task(frozen.append(ANA, file_id, 0, aiter(Body(theirs).end())))
        await world.steps.until_begun(step)
        assert (await alive.settled(ANA, file_id)).progress.offset == 0
        await alive.append(ANA, file_id, 0, aiter(Body(ours[:PART]).end()))
        go_on()
        (ended,) = await asyncio.gather(adding, return_exceptions=True)
    assert (await alive.settled(ANA, file_id)).progress.offset == PART
    await alive.append(ANA, file_id, PART, aiter(Body(ours[PART:]).end()))
    assert await world.content(file_id) == ours
    assert isinstance(ended, Fenced)


@pytest.mark.parametrize("step", ["write", "advance"])
async def test_a_gateway_that_stood_still_changes_nothing(world: World, step: str) -> None:
    await overtaken(world, step)


def test_the_parts_of_each_request_have_numbers_of_their_own() -> None:
    """S3 has the numbers 1 to 10,000, and joins parts in the order of theirs."""
    parts = -(-FILE_MAX // PART_BYTES)
    numbers = {
        fence: [writing_parts.part_number(index, fence) for index in range(parts)]
        for fence in range(1, writing_parts.FENCES + 1)
    }
    assert all(of_one == sorted(of_one) for of_one in numbers.values())
    all_ = [number for of_one in numbers.values() for number in of_one]
    assert len({*all_}) == len(all_) == parts * writing_parts.FENCES
    assert {*all_} <= {*range(1, 10_001)}


def progress_under_any_fence(patch: Patch) -> None:
    """Keep the progress of every request, whoever has taken the upload since."""

    def lock_any(connection: Any, file_id: FileId, _: int) -> Any:
        return lock_file(connection, file_id)

    patch.setattr(sql_uploads, "_lock_held", lock_any)


def part_numbers_without_fences(patch: Patch) -> None:
    """Give a part the number that it has in every other request."""
    patch.setattr(writing_parts, "part_number", lambda index, _: index + 1)


MUTANTS = [("advance", progress_under_any_fence), ("write", part_numbers_without_fences)]


@pytest.mark.parametrize(("step", "mutant"), MUTANTS)
async def test_a_mutant_is_caught(
    world: World, step: str, mutant: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, Conflict, Unavailable)):
        await overtaken(world, step)


# A finish that another gateway is asked about.


async def test_a_finish_is_waited_for_at_another_gateway(world: World) -> None:
    """Fails when it is repeated: for 2 GiB that takes long, and the first one is in vain."""
    one, other = world.gateway(), world.gateway()
    file_id = (await one.begin(new_upload(size=3))).file_id
    async with standing_still(world, "finish") as go_on:
        adding = asyncio.create_task(one.append(ANA, file_id, 0, aiter(Body(b"abc").end())))
        await world.steps.until_begun("finish")
        asking = [asyncio.create_task(other.settled(ANA, file_id)) for _ in range(2)]
        await world.steps.until_begun("take", 3)  # it has asked again
        assert not any(one.done() for one in asking)
        go_on()
        found = [await adding, *await asyncio.gather(*asking)]
    assert {one.state for one in found} == {FileState.READY}
    assert world.steps.begun["finish"] == 1
    assert await world.fence(file_id) == 1


async def test_a_finish_that_fails_elsewhere_is_done_by_who_waits(world: World) -> None:
    one, other = world.gateway(), world.gateway()
    file_id = (await one.begin(new_upload(size=3))).file_id
    async with standing_still(world, "finish") as go_on:
        stands_still = world.steps.before["finish"]

        async def fails() -> None:
            del world.steps.before["finish"]
            await stands_still()
            raise Unavailable("away")

        world.steps.before["finish"] = fails
        adding = asyncio.create_task(one.append(ANA, file_id, 0, aiter(Body(b"abc").end())))
        await world.steps.until_begun("finish")
        asking = asyncio.create_task(other.settled(ANA, file_id))
        await world.steps.until_begun("take", 2)
        go_on()
        with pytest.raises(Unavailable):
            await adding
    assert (await asking).state is FileState.READY
    assert await world.content(file_id) == b"abc"
