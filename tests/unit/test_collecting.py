"""In which order garbage is deleted and forgotten, and which failures end a run."""

from collections.abc import Sequence
from typing import Any

import pytest

from chat4all.domain.errors import Unavailable
from chat4all.domain.files import GARBAGE_MAX, GARBAGE_SECONDS, FileId, Garbage
from chat4all.usecases.collecting import ROUNDS_MAX, Collecting

pytestmark = pytest.mark.anyio


class Place:
    """A store, and what is known of its files. `steps` is what was done, in order.

    The objects of `held` cannot be deleted. Each of `rounds` is given once.
    """

    def __init__(self, *rounds: Sequence[Garbage]) -> None:
        self.rounds = [*rounds]
        self.held: set[str] = set()
        self.error: Exception = Unavailable("held")
        self.steps: list[tuple[str, ...]] = []
        self.asked: list[int] = []
        self.tried = 0

    async def garbage(self, limit: int) -> Sequence[Garbage]:
        self.asked.append(limit)
        return self.rounds.pop(0) if self.rounds else []

    async def forget(self, file_ids: Sequence[FileId]) -> None:
        self.steps.append(("forget", *file_ids))

    def forgotten(self) -> list[tuple[str, ...]]:
        return [step[1:] for step in self.steps if step[0] == "forget"]

    async def abort(self, key: str, upload: str) -> None:
        self.steps.append(("abort", key, upload))

    async def delete(self, keys: Sequence[str]) -> None:
        self.tried += 1
        if self.held & {*keys}:
            raise self.error
        self.steps.append(("delete", *keys))

    async def collect(self) -> int:
        here: Any = self
        return await Collecting(here, here).collect()


def whole(name: str) -> Garbage:
    return Garbage(FileId(name), None, [f"f/{name}", f"t/{name}"])


async def test_what_is_known_is_forgotten_after_the_bytes_are_deleted() -> None:
    """Else nobody deletes the bytes if the process is killed in between."""
    place = Place([Garbage(FileId("a"), "its upload", ["f/a", "t/a"])], [whole("b")])
    assert await place.collect() == 2
    assert place.steps == [
        ("abort", "f/a", "its upload"),
        ("delete", "f/a", "t/a"),
        ("forget", "a"),
        ("delete", "f/b", "t/b"),
        ("forget", "b"),
    ]
    assert place.asked == [GARBAGE_MAX] * 3


async def test_what_cannot_be_deleted_is_not_forgotten_and_ends_the_run_after_the_others() -> None:
    place = Place([whole(name) for name in "abc"], [whole("d")])
    place.held = {"t/b"}
    with pytest.raises(Unavailable, match="held"):
        await place.collect()
    (forgotten,) = place.forgotten()
    assert sorted(forgotten) == ["a", "c"]
    assert len(place.asked) == 1


async def test_a_store_that_does_not_answer_is_asked_twice_only() -> None:
    place = Place([whole(str(number)) for number in range(10)])
    place.held = {f"f/{number}" for number in range(10)}
    with pytest.raises(Unavailable):
        await place.collect()
    assert (place.tried, place.steps) == (2, [])


async def test_a_round_is_forgotten_in_one_go() -> None:
    """Each go is a transaction that waits for the disk."""
    names = [f"{number:02}" for number in range(GARBAGE_MAX)]
    place = Place([whole(name) for name in names])
    assert await place.collect() == GARBAGE_MAX
    (forgotten,) = place.forgotten()
    assert sorted(forgotten) == names
    assert place.steps[-1] == ("forget", *forgotten)


async def test_what_was_deleted_before_a_store_failed_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.sample", lambda some, _: some)
    place = Place([whole(name) for name in "abcde"])
    place.held = {"t/b", "t/d"}
    with pytest.raises(Unavailable, match="held"):
        await place.collect()
    assert (place.tried, place.forgotten()) == (4, [("a", "c")])


async def test_a_slow_round_ends_before_another_collector_is_given_its_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would forget late what the other one has emptied meanwhile, and not delete it again."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    place = Place([whole(name) for name in "abc"])
    delete = place.delete

    async def slow(keys: Sequence[str]) -> None:
        nonlocal now
        await delete(keys)
        now += GARBAGE_SECONDS * 0.6

    monkeypatch.setattr(place, "delete", slow)
    assert await place.collect() == 2
    assert [len(some) for some in place.forgotten()] == [2]


async def test_what_is_no_outage_ends_the_run() -> None:
    place = Place([whole("a")])
    place.held, place.error = {"f/a"}, ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await place.collect()
    assert place.steps == []


async def test_a_run_ends_however_much_there_is() -> None:
    place = Place(*[[whole("a")]] * (ROUNDS_MAX + 5))
    assert await place.collect() == ROUNDS_MAX
    assert len(place.rounds) == 5
