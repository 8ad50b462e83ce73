"""Which files are scanned and when, what becomes of them, and whose they are meanwhile."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chat4all.domain.errors import NotFound, TooLarge, Unavailable
from chat4all.domain.files import FileId, FileState, PictureFacts, StoredFile
from chat4all.domain.ids import Username
from chat4all.domain.scanning import SCAN_LEASE_SECONDS, TOO_LARGE, Verdict
from chat4all.usecases import scanning as module
from chat4all.usecases.scanning import AT_ONCE, OF_OWNER_MAX, WAITING_MAX, Scanning
from tests.attached import picture

pytestmark = pytest.mark.anyio

SEEN = PictureFacts(3, 2, "hash")


def held(name: str, owner: str = "bruno") -> StoredFile:
    file = picture(state=FileState.CHECKING)
    return replace(file, file_id=FileId(name), key=f"f/{name}", owner=Username(owner))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0)


class Place:
    """A scanner, its files and their store. A scan waits until `goes_on` is set."""

    def __init__(self) -> None:
        self.waiting: list[StoredFile] = []
        """What nobody scans."""
        self.asked: list[int] = []
        self.found: dict[str, str | Exception] = {}
        self.begun: list[str] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.is_seen = asyncio.Event()
        self.is_seen.set()
        self.under_way = 0
        self.most = 0
        self.renewed: list[FileId] = []
        self.settled: dict[FileId, Verdict] = {}
        self.gone: set[FileId] = set()
        self.deleted: list[str] = []
        self.looked: list[tuple[str, str]] = []
        self.is_away = False
        self.now = 0.0
        here: Any = self
        self.scanning = Scanning(here, here, here, here, clock=lambda: self.now)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        yield key.encode()

    async def scan(self, content: AsyncIterator[bytes]) -> str | None:
        key = b"".join([piece async for piece in content]).decode()
        self.begun.append(key)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.goes_on.wait()
        finally:
            self.under_way -= 1
        found = self.found.get(key)
        if isinstance(found, Exception):
            raise found
        return found

    async def ping(self) -> None:
        if self.is_away:
            raise Unavailable("no scanner")

    async def take(self, limit: int, but_of: Collection[Username] = ()) -> Sequence[StoredFile]:
        self.asked.append(limit)
        taken = [file for file in self.waiting if file.owner not in but_of][:limit]
        self.waiting = [file for file in self.waiting if file not in taken]
        return taken

    async def renew(self, file_id: FileId) -> None:
        self.renewed.append(file_id)

    async def settle(self, file_id: FileId, verdict: Verdict) -> StoredFile | None:
        self.settled[file_id] = verdict
        if file_id in self.gone:
            return None
        state = FileState.READY if verdict.found is None else FileState.REFUSED
        return replace(held(file_id), state=state)

    async def delete(self, keys: Sequence[str]) -> None:
        self.deleted += keys

    async def facts(self, _file_id: str, key: str, media_type: str, _owner: str) -> PictureFacts:
        self.looked.append((key, media_type))
        await self.is_seen.wait()
        return SEEN


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    yield place
    await place.scanning.close()


async def test_a_clean_file_is_released_with_what_is_seen_of_it(place: Place) -> None:
    ready = await place.scanning.soon(held("a"))
    assert ready == replace(held("a"), state=FileState.READY)
    assert place.settled == {"a": Verdict(None, SEEN)}
    assert place.looked == [("f/a", "image/jpeg")]
    assert place.deleted == []


async def test_a_refused_file_is_deleted_and_never_decoded(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.found["f/a"] = "Eicar"
    assert (await place.scanning.soon(held("a"))).state is FileState.REFUSED
    assert place.settled == {"a": Verdict("Eicar")}
    assert (place.deleted, place.looked) == (["f/a"], [])
    (said,) = caplog.records
    assert (said.message, said.levelno) == ("a file was refused", logging.WARNING)
    assert {"file": "a", "user": "bruno", "found": "Eicar"}.items() <= said.__dict__.items()


async def test_what_the_scanner_does_not_take_is_refused(place: Place) -> None:
    place.found["f/a"] = TooLarge("so large")
    assert (await place.scanning.soon(held("a"))).state is FileState.REFUSED
    assert place.settled == {"a": Verdict(TOO_LARGE)}
    assert (place.deleted, place.looked) == (["f/a"], [])


@pytest.mark.parametrize("error", [Unavailable("no answer"), ZeroDivisionError()])
async def test_without_a_verdict_a_file_stays_held_back_and_is_tried_again(
    place: Place, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    place.found["f/a"] = error
    assert await place.scanning.soon(held("a")) == held("a")
    assert (place.settled, place.deleted, place.looked) == ({}, [], [])
    assert [said.__dict__["file"] for said in caplog.records] == ["a"]
    del place.found["f/a"]
    assert (await place.scanning.soon(held("a"))).state is FileState.READY


async def tried_at(place: Place, *, minutes: int, beside_others: bool) -> list[int]:
    """Return the minutes at which a file is tried that never goes well."""
    tried = []
    for minute in range(minutes):
        place.now = minute * SCAN_LEASE_SECONDS
        if beside_others:
            assert (await place.scanning.soon(held(f"{minute}", "ana"))).state is FileState.READY
        place.waiting, before = [held("a")], place.begun.count("f/a")
        await place.scanning.scan()
        await until(lambda: not place.scanning._running)
        if place.begun.count("f/a") > before:
            tried.append(minute)
    return tried


@pytest.mark.parametrize("error", [Unavailable("an odd answer"), NotFound("no such object")])
async def test_a_file_that_fails_while_others_do_not_is_tried_less_and_less_often(
    place: Place, error: Exception
) -> None:
    """Fails when clamd has to scan it, and its uploader's others wait, every minute for a week."""
    place.found["f/a"] = error
    tried = await tried_at(place, minutes=250, beside_others=True)
    assert tried == [0, 1, 2, 3, 4, 6, 10, 18, 34, 66, 126, 186, 246]
    del place.found["f/a"]
    assert await place.scanning.soon(held("a")) == held("a")
    place.now += 3600
    assert (await place.scanning.soon(held("a"))).state is FileState.READY


async def test_while_nothing_is_scanned_everything_is_tried_every_minute(place: Place) -> None:
    """It is the scanner's failure then, or the store's: once they are back, nothing waits."""
    place.found["f/a"] = Unavailable("no answer")
    assert await tried_at(place, minutes=30, beside_others=False) == [*range(30)]


async def test_only_so_many_files_that_failed_are_remembered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAILED_MAX", 2)
    for name in "abc":
        place.found[f"f/{name}"] = Unavailable("no answer")
        await place.scanning.soon(held(name))
    place.found.clear()
    assert [*place.scanning._tries._failed] == ["b", "c"]
    await place.scanning.soon(held("b"))
    assert [*place.scanning._tries._failed] == ["c"]


async def test_a_file_that_is_gone_meanwhile_stays_so(place: Place) -> None:
    place.gone.add(FileId("a"))
    place.found["f/a"] = "Eicar"
    assert await place.scanning.soon(held("a")) == held("a")
    assert place.deleted == []


@pytest.mark.parametrize("state", [FileState.READY, FileState.REFUSED])
async def test_what_has_its_verdict_is_not_scanned(place: Place, state: FileState) -> None:
    file = replace(held("a"), state=state)
    assert await place.scanning.soon(file) == file
    assert place.begun == []


async def test_a_file_is_kept_from_others_while_it_is_scanned(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.001)
    place.goes_on.clear()
    soon = asyncio.create_task(place.scanning.soon(held("a")))
    await until(lambda: len(place.renewed) > 2)
    assert {*place.renewed} == {"a"}
    place.goes_on.set()
    assert (await soon).state is FileState.READY


async def test_an_upload_is_answered_though_its_scan_takes_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOON_SECONDS", 0.001)
    place.goes_on.clear()
    assert await place.scanning.soon(held("a")) == held("a")
    assert place.settled == {}
    place.goes_on.set()
    await until(lambda: "a" in place.settled)


async def test_a_file_is_scanned_once_at_a_time(place: Place) -> None:
    place.goes_on.clear()
    both = [asyncio.create_task(place.scanning.soon(held("a"))) for _ in range(2)]
    await until(lambda: bool(place.begun))
    place.goes_on.set()
    assert [(await one).state for one in both] == [FileState.READY] * 2
    assert place.begun == ["f/a"]


async def test_no_more_wait_for_their_turn_than_fit(place: Place) -> None:
    place.goes_on.clear()
    soon = [
        asyncio.create_task(place.scanning.soon(held(f"{number}", f"user{number}")))
        for number in range(WAITING_MAX)
    ]
    await until(lambda: len(place.begun) == AT_ONCE)
    assert await place.scanning.soon(held("beyond")) == held("beyond")
    place.goes_on.set()
    for one in soon:
        assert (await one).state is FileState.READY
    assert place.most == AT_ONCE
    assert "f/beyond" not in place.begun


async def test_what_waits_is_taken_as_there_is_room(place: Place) -> None:
    place.waiting = [held(str(number), f"user{number}") for number in range(2 * AT_ONCE + 1)]
    place.goes_on.clear()
    run = asyncio.create_task(place.scanning.scan())
    await until(lambda: len(place.begun) == AT_ONCE)
    assert place.asked == [AT_ONCE]
    place.goes_on.set()
    await run
    await until(lambda: len(place.settled) == 2 * AT_ONCE + 1)
    assert place.waiting == []
    assert place.most <= AT_ONCE


async def test_files_of_one_person_leave_a_turn_to_everybody_else(place: Place) -> None:
    """Fails when four files of one, each of which takes long, keep all others from their scan."""
    place.goes_on.clear()
    soon = [
        asyncio.create_task(place.scanning.soon(held(f"ana{number}", "ana")))
        for number in range(2 * AT_ONCE)
    ]
    await until(lambda: bool(place.begun))
    soon += [
        asyncio.create_task(place.scanning.soon(held(name, name)))
        for name in ("bruno", "carla", "davi")
    ]
    await until(lambda: len(place.begun) == AT_ONCE)
    assert place.begun == ["f/ana0", "f/bruno", "f/carla", "f/davi"]
    place.goes_on.set()
    for one in soon:
        assert (await one).state is FileState.READY


async def test_what_one_person_has_waiting_is_taken_beside_that_of_others(place: Place) -> None:
    """Fails when others wait until all that began to wait before, of somebody else, is scanned."""
    place.goes_on.clear()
    of_ana = [held(f"ana{number}", "ana") for number in range(OF_OWNER_MAX)]
    place.waiting = [*of_ana, held("later", "bruno")]
    run = asyncio.create_task(place.scanning.scan())
    await until(lambda: "f/later" in place.begun)
    assert place.begun == ["f/ana0", "f/later"]
    assert len(place.waiting) > OF_OWNER_MAX - 2 * AT_ONCE  # for other gateways, too
    place.goes_on.set()
    await run
    await until(lambda: len(place.settled) == OF_OWNER_MAX + 1)


async def test_what_is_scanned_already_leaves_less_room(place: Place) -> None:
    """A file that is taken and not scanned would be nobody's for a minute."""
    place.goes_on.clear()
    soon = asyncio.create_task(place.scanning.soon(held("a")))
    await until(lambda: place.begun == ["f/a"])
    await place.scanning.scan()
    assert place.asked == [AT_ONCE - 1]
    place.goes_on.set()
    await soon


async def test_nothing_is_taken_while_there_is_no_room(place: Place) -> None:
    place.waiting = [held("later")]
    place.goes_on.clear()
    soon = [
        asyncio.create_task(place.scanning.soon(held(str(number), f"user{number}")))
        for number in range(AT_ONCE + 1)
    ]
    await until(lambda: len(place.begun) == AT_ONCE)
    run = asyncio.create_task(place.scanning.scan())
    for _ in range(20):
        await asyncio.sleep(0)
    assert place.asked == []
    place.goes_on.set()
    await asyncio.gather(run, *soon)
    assert place.asked
    assert 0 not in place.asked
    await until(lambda: "later" in place.settled)


async def test_nothing_is_taken_while_the_scanner_is_away(place: Place) -> None:
    place.waiting, place.is_away = [held("a")], True
    with pytest.raises(Unavailable, match="no scanner"):
        await place.scanning.scan()
    assert place.asked == []


async def test_the_end_of_a_gateway_ends_its_scans(place: Place) -> None:
    place.goes_on.clear()
    soon = asyncio.create_task(place.scanning.soon(held("a")))
    await until(lambda: place.under_way == 1)
    await place.scanning.close()
    assert place.under_way == 0
    assert await soon == held("a")
    assert place.settled == {}


async def test_what_waits_to_be_looked_at_keeps_nothing_from_its_scan(place: Place) -> None:
    """Files of a gateway that was killed do not wait for an album that somebody sends."""
    place.is_seen.clear()
    place.waiting = [held(f"{number}") for number in range(AT_ONCE + 2)]
    running = asyncio.create_task(place.scanning.scan())
    await until(lambda: len(place.begun) == AT_ONCE + 2)
    place.is_seen.set()
    await until(lambda: len(place.settled) == AT_ONCE + 2)
    await running


async def test_pictures_of_one_person_keep_nobody_elses_file_from_its_scan(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of them wait to be looked at: those of others are scanned at once."""
    monkeypatch.setattr(module, "SOON_SECONDS", 0.01)
    place.is_seen.clear()
    place.waiting = [held(f"ana{number}", "ana") for number in range(2 * OF_OWNER_MAX)]
    place.waiting += [held("later", "bruno")]
    await place.scanning.scan()
    await until(lambda: len(place.looked) == OF_OWNER_MAX + 1)
    assert "f/later" in place.begun
    # Hers that were one too many are taken again when they have waited for a minute.
    assert [key for key, _ in place.looked if "ana" in key] == [
        f"f/ana{number}" for number in range(OF_OWNER_MAX)
    ]
    for number in range(WAITING_MAX):
        await place.scanning.soon(held(f"other{number}", f"user{number}"))
    assert await place.scanning.soon(held("bruno", "bruno")) == held("bruno", "bruno")
    assert "f/bruno" in place.begun
    assert await place.scanning.soon(held("one more", "ana")) == held("one more", "ana")
    assert "f/one more" not in place.begun
    place.is_seen.set()
    await until(lambda: not place.scanning._running)
    assert len(place.settled) == OF_OWNER_MAX + WAITING_MAX + 2
    assert (await place.scanning.soon(held("one more", "ana"))).state is FileState.READY
