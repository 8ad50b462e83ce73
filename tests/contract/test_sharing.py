"""The contract of `ports.sharing.Sharing`: equal files, and when an object is garbage."""

import asyncio
from dataclasses import replace

import pytest

from chat4all.domain.errors import NotFound
from chat4all.domain.files import (
    GARBAGE_SECONDS,
    REPLACED_SECONDS,
    UPLOAD_SECONDS,
    FileId,
    FileState,
    keys_of,
)
from chat4all.domain.ids import Username
from chat4all.domain.scanning import Verdict
from chat4all.domain.sharing import Candidate
from chat4all.ports.people import PeoplePorts
from chat4all.ports.sharing import Sharing
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, user
from tests.contract.test_files_known import detach, use_of
from tests.contract.test_uploads import FACTS, FREE, SETTINGS, aged, new_upload, progress_of, whole
from tests.databases import Place

pytestmark = [pytest.mark.anyio, SETTINGS]

OTHER = replace(FACTS, sha256="b" * 64)


@pytest.fixture(autouse=True)
async def _people(known: PeoplePorts) -> None:
    for name in (ANA, BRUNO, CARLA):
        await known.users.add_user(user(name), b"")


async def key_of(known: PeoplePorts, file_id: FileId, owner: Username = ANA) -> str:
    return (await known.files.find(file_id, owner)).key


async def shared_by(sharing: Sharing, limit: int = 100) -> int:
    """Compare all that waits, as a gateway does whose store has every object; return how many."""
    compared: set[FileId] = set()
    while candidates := await sharing.candidates(limit):
        for one in candidates:
            await sharing.compared(one, joins=one.key is not None)
            compared.add(one.file_id)
    return len(compared)


async def deleted_by(known: PeoplePorts, *, forget: bool = True) -> set[str]:
    """Return what a collector is told to delete now."""
    given = await known.files.garbage(100)
    if forget:
        await known.files.forget([one.file_id for one in given])
    return {key for one in given for key in one.keys}


async def shared(known: PeoplePorts) -> tuple[FileId, FileId, str, str]:
    """Return a file of Ana's and one of Bruno's that came to name its object, and both objects."""
    first, second = await whole(known.uploads), await whole(known.uploads, BRUNO)
    own = await key_of(known, second, BRUNO)
    assert await shared_by(known.sharing) == 2
    key = await key_of(known, first)
    assert await key_of(known, second, BRUNO) == key != own
    return first, second, key, own


async def test_equal_files_come_to_name_one_object(known: PeoplePorts) -> None:
    made = [await whole(known.uploads, name) for name in (ANA, BRUNO, BRUNO, CARLA)]
    owners = dict(zip(made, (ANA, BRUNO, BRUNO, CARLA), strict=True))
    before = {one: await known.files.find(one, owner) for one, owner in owners.items()}
    assert len({file.key for file in before.values()}) == 4
    assert [await shared_by(known.sharing, 3) for _ in range(2)] == [4, 0]
    for one, owner in owners.items():
        after = await known.files.find(one, owner)
        assert after == replace(before[one], key=before[made[0]].key)
    assert await deleted_by(known) == set()


@pytest.mark.parametrize("moves", [False, True])
async def test_a_file_counts_as_before(known: PeoplePorts, place: Place, moves: bool) -> None:
    """Whether somebody else has it is not to be seen by what is left of a quota, or in all."""
    await whole(known.uploads, facts=FACTS if moves else OTHER)
    file_id = await whole(known.uploads, BRUNO)
    counted = replace(FREE, in_all=25)
    await shared_by(known.sharing)
    for _ in range(2):
        assert await known.files.used(BRUNO) == 10
        assert (await known.uploads.find(file_id, BRUNO)).progress.offset == 10
        with pytest.raises(Exception, match="no room"):
            await known.uploads.create(new_upload(CARLA, size=6), counted)
        began = await known.uploads.create(new_upload(CARLA, size=5), counted)
        await known.uploads.end(began.file_id, CARLA)
        await aged(place, GARBAGE_SECONDS)
        await deleted_by(known)


async def test_what_is_not_the_same_is_not_shared(known: PeoplePorts) -> None:
    """Neither what has another content, nor what is not ready, nor what has no bytes."""
    checking = await whole(known.uploads, state=FileState.CHECKING)
    refused = await whole(known.uploads, state=FileState.CHECKING)
    await known.scans.settle(refused, Verdict("a signature"))
    made = [
        checking,
        refused,
        await whole(known.uploads),
        await whole(known.uploads, facts=OTHER),
        await whole(known.uploads, size=11),
        await whole(known.uploads, size=0),
        await whole(known.uploads, size=0),
    ]
    await known.uploads.create(new_upload(), FREE)
    assert await shared_by(known.sharing) == 3
    assert len({await key_of(known, one) for one in made}) == len(made)
    await known.scans.settle(checking, Verdict())
    assert await shared_by(known.sharing) == 1
    assert await key_of(known, checking) == await key_of(known, made[2])


async def test_its_own_object_is_kept_for_those_who_read_it(
    known: PeoplePorts, place: Place
) -> None:
    first, second, key, own = await shared(known)
    chat = (await known.directory.add_conversation(group(ANA, BRUNO))).conversation_id
    for one, owner in ((first, ANA), (second, BRUNO)):
        await known.files.attach(use_of(one, chat, owner))
    await aged(place, REPLACED_SECONDS - 60)
    assert await deleted_by(known) == set()
    await aged(place, 60)
    deleted = await deleted_by(known)
    assert own in deleted
    assert not {key, *keys_of(second, key, 1)} & deleted
    assert (await known.files.find(second, BRUNO)).key == key


async def test_finishing_again_returns_the_file(known: PeoplePorts) -> None:
    await whole(known.uploads)
    new = await known.uploads.create(new_upload(BRUNO), FREE)
    fence = (await known.uploads.take(new.file_id, BRUNO, force=False)).fence
    await known.uploads.advance(new.file_id, fence, progress_of(10))
    made = await known.uploads.finish(new.file_id, fence, FACTS, FileState.READY)
    await shared_by(known.sharing)
    again = await known.uploads.finish(new.file_id, fence, OTHER, FileState.READY)
    assert again == replace(made, key=again.key)
    assert again.key != made.key
    taken = await known.uploads.take(new.file_id, BRUNO, force=True)
    assert (taken.state, taken.progress.offset, taken.fence) == (FileState.READY, 10, fence)


async def test_an_object_goes_with_the_last_file_that_names_it(known: PeoplePorts) -> None:
    first, second, key, own = await shared(known)
    third = await whole(known.uploads, CARLA)
    await shared_by(known.sharing)
    await known.uploads.end(first, ANA)
    deleted = await deleted_by(known)
    assert deleted == {*keys_of(first, key, 1)} - {key}  # its own tails and thumbnails
    assert await key_of(known, second, BRUNO) == key
    await known.uploads.end(third, CARLA)
    assert key not in await deleted_by(known)
    await known.uploads.end(second, BRUNO)
    assert {*keys_of(second, key, 1)} <= await deleted_by(known)
    # With the file, nobody needs its earlier object any more.
    assert own in await deleted_by(known)
    assert await deleted_by(known) == set()


@pytest.mark.parametrize("at_once", [1, 100])
async def test_files_that_expire_together(known: PeoplePorts, place: Place, at_once: int) -> None:
    """Each is garbage by itself, and the object is with whichever is given last."""
    first, second, key, own = await shared(known)
    await aged(place, UPLOAD_SECONDS)
    told: list[tuple[FileId, bool]] = []
    deleted: set[str] = set()
    while given := await known.files.garbage(at_once):
        deleted |= {one for garbage in given for one in garbage.keys}
        told += [(one.file_id, key in one.keys) for one in given if one.file_id in (first, second)]
    assert {file_id for file_id, _ in told} == {first, second}
    assert [whether for _, whether in told] == [at_once > 1, True]
    assert {key, own} <= deleted


async def test_nobody_joins_what_was_given_to_be_deleted(known: PeoplePorts, place: Place) -> None:
    """A collector may have deleted it already, or do so at any later time."""
    first = await whole(known.uploads)
    await shared_by(known.sharing)
    key = await key_of(known, first)
    await known.uploads.end(first, ANA)
    late = await whole(known.uploads, BRUNO)
    own = await key_of(known, late, BRUNO)
    await shared_by(known.sharing)  # given up, and not given to anybody yet
    assert key in await deleted_by(known, forget=False)
    later = await whole(known.uploads, CARLA)
    await shared_by(known.sharing)
    assert await key_of(known, late, BRUNO) == await key_of(known, later, CARLA) == own
    # That collector was killed before it forgot the file: another one is told the same.
    await aged(place, GARBAGE_SECONDS)
    assert key in await deleted_by(known)
    assert await key_of(known, late, BRUNO) == own


async def test_nobody_joins_what_has_expired(known: PeoplePorts, place: Place) -> None:
    first = await whole(known.uploads)
    await shared_by(known.sharing)
    key = await key_of(known, first)
    await aged(place, UPLOAD_SECONDS)
    late = await whole(known.uploads, BRUNO)
    await shared_by(known.sharing)
    assert await key_of(known, late, BRUNO) != key
    assert key in await deleted_by(known)


async def test_a_collector_that_was_killed_is_told_by_what_is_true_then(
    known: PeoplePorts, place: Place
) -> None:
    first, second, key, _ = await shared(known)
    await known.uploads.end(first, ANA)
    assert key not in await deleted_by(known, forget=False)
    await aged(place, GARBAGE_SECONDS)
    assert key not in await deleted_by(known, forget=False)
    await known.uploads.end(second, BRUNO)
    assert key in await deleted_by(known, forget=False)
    await aged(place, GARBAGE_SECONDS)
    assert key in await deleted_by(known)


async def test_an_erased_user_takes_no_file_of_others_along(known: PeoplePorts) -> None:
    _, second, key, own = await shared(known)
    await known.users.erase_user(ANA)
    assert key not in await deleted_by(known)
    assert await key_of(known, second, BRUNO) == key
    third = await whole(known.uploads, CARLA)  # it joins what only Bruno's file names by now
    await shared_by(known.sharing)
    assert await key_of(known, third, CARLA) == key
    await known.users.erase_user(BRUNO)
    assert key not in await deleted_by(known)
    # Nothing that he has uploaded is left, also not what was kept for who reads it.
    assert own in await deleted_by(known)
    with pytest.raises(NotFound):
        await known.files.find(second, BRUNO)
    assert await key_of(known, third, CARLA) == key
    await known.uploads.end(third, CARLA)
    assert key in await deleted_by(known)


async def test_what_is_not_in_the_store_is_not_joined(known: PeoplePorts, place: Place) -> None:
    """And what comes later finds the newest: only that one is known to be whole."""
    first = await whole(known.uploads)
    await shared_by(known.sharing)
    lost = await key_of(known, first)
    second = await whole(known.uploads, BRUNO)
    own = await key_of(known, second, BRUNO)
    (candidate,) = await known.sharing.candidates(10)
    assert candidate == Candidate(second, 10, lost)
    await known.sharing.compared(candidate, joins=False)
    assert await known.sharing.candidates(10) == []
    assert await key_of(known, second, BRUNO) == own
    third = await whole(known.uploads, CARLA)
    await shared_by(known.sharing)
    assert await key_of(known, third, CARLA) == own
    await aged(place, REPLACED_SECONDS - 60)
    assert own not in await deleted_by(known)


@pytest.mark.parametrize("joins", [False, True])
async def test_what_changed_since_it_was_looked_at_is_looked_at_again(
    known: PeoplePorts, joins: bool
) -> None:
    first = await whole(known.uploads)
    await shared_by(known.sharing)
    second = await whole(known.uploads, BRUNO)
    own = await key_of(known, second, BRUNO)
    (before,) = await known.sharing.candidates(10)
    await known.uploads.end(first, ANA)
    await known.sharing.compared(before, joins=joins)
    (now,) = await known.sharing.candidates(10)
    assert now == Candidate(second, 10, None)
    assert await key_of(known, second, BRUNO) == own
    # Of two that found nobody to join, one joins the other.
    third = await whole(known.uploads, CARLA)
    both = await known.sharing.candidates(10)
    assert {one.key for one in both} == {None}
    for one in both:
        await known.sharing.compared(one, joins=False)
    assert await shared_by(known.sharing) == 1
    assert await key_of(known, third, CARLA) == await key_of(known, second, BRUNO)


async def test_what_was_compared_is_left_as_it_is(known: PeoplePorts) -> None:
    """By a request that is repeated since its answer was lost, or comes late."""
    await whole(known.uploads)
    await shared_by(known.sharing)
    second = await whole(known.uploads, BRUNO)
    (candidate,) = await known.sharing.candidates(10)
    for joins in (True, True, False):
        await known.sharing.compared(candidate, joins=joins)
        assert await key_of(known, second, BRUNO) == candidate.key
    await known.uploads.end(second, BRUNO)
    await known.sharing.compared(candidate, joins=True)
    with pytest.raises(NotFound):
        await known.files.find(second, BRUNO)


async def test_a_message_deletes_its_own_file_alone(known: PeoplePorts) -> None:
    first, second, key, _ = await shared(known)
    chat = (await known.directory.add_conversation(group(ANA, BRUNO))).conversation_id
    uses = [use_of(first, chat), use_of(second, chat, BRUNO)]
    for use in uses:
        await known.files.attach(use)
    await detach(known.files, uses[0])
    assert key not in await deleted_by(known)
    assert await key_of(known, second, ANA) == key
    await detach(known.files, uses[1])
    assert key in await deleted_by(known)


async def test_many_that_are_finished_and_compared_at_once(known: PeoplePorts) -> None:
    made = await asyncio.gather(*(whole(known.uploads, name) for name in (ANA, BRUNO, CARLA)))
    await asyncio.gather(*(shared_by(known.sharing, 2) for _ in range(4)))
    owners = (ANA, BRUNO, CARLA)
    keys = {await key_of(known, one, owner) for one, owner in zip(made, owners, strict=True)}
    assert len(keys) == 1
    for one, owner in zip(made, owners, strict=True):
        await known.uploads.end(one, owner)
    assert keys <= await deleted_by(known)
