"""Which objects files come to share, and how a run ends."""

from collections.abc import AsyncIterator, Sequence

import pytest

from chat4all.adapters.embedded import FolderBlobs
from chat4all.domain.errors import NotFound, Unavailable
from chat4all.domain.files import FileId
from chat4all.domain.sharing import Candidate
from chat4all.usecases.sharing_objects import AT_ONCE, ROUNDS_MAX, SharingObjects

pytestmark = pytest.mark.anyio


class Place(FolderBlobs):
    """Objects by key, and files that wait in rounds; `compared` has each with whether it joined."""

    def __init__(self, *rounds: Sequence[Candidate]) -> None:
        self.rounds = [*rounds]
        self.objects: dict[str, bytes | Exception] = {}
        self.was_compared: list[tuple[str, bool]] = []
        self.asked: list[int] = []
        self.bytes_read = 0
        self.is_away = False

    async def candidates(self, limit: int) -> Sequence[Candidate]:
        self.asked.append(limit)
        return self.rounds.pop(0) if self.rounds else []

    async def compared(self, candidate: Candidate, *, joins: bool) -> None:
        self.was_compared.append((candidate.file_id, joins))

    async def read(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        found = self.objects.get(key, NotFound("no such object"))
        if isinstance(found, Exception):
            raise found
        for byte in found[start:][:length]:
            self.bytes_read += 1
            yield bytes([byte])

    async def ping(self) -> None:
        if self.is_away:
            raise Unavailable("the store is away")

    async def share(self) -> None:
        await SharingObjects(self, self).share()


def candidate(name: str, size: int = 5) -> Candidate:
    return Candidate(FileId(name), size, f"f/{name}")


@pytest.mark.parametrize(
    ("found", "joins"),
    [
        (b"abcde", True),
        (b"abcd", False),
        (b"", False),
        (b"abcdef", False),
        (b"abcdefghi", False),
        (NotFound("lost"), False),
        (Unavailable("this one cannot be read"), False),
    ],
)
async def test_only_an_object_of_the_same_size_is_joined(
    found: bytes | Exception, *, joins: bool
) -> None:
    place = Place([candidate("a"), candidate("b")])
    place.objects = {"f/a": found, "f/b": b"abcde"}
    await place.share()
    assert place.was_compared == [("a", joins), ("b", True)]
    assert place.bytes_read <= 2 * 2  # of each object its last byte, and whether there is more


async def test_a_file_without_an_equal_one_joins_nothing() -> None:
    place = Place([Candidate(FileId("a"), 3, None)])
    await place.share()
    assert place.was_compared == [("a", False)]


async def test_files_wait_while_the_store_is_away() -> None:
    """Else they would be compared with nothing, and never again."""
    place = Place([candidate("a"), candidate("b")])
    place.objects = {"f/a": Unavailable("no answer"), "f/b": b"abcde"}
    place.is_away = True
    with pytest.raises(Unavailable, match="the store is away"):
        await place.share()
    assert place.was_compared == []


async def test_a_run_ends_when_none_wait_or_after_so_many() -> None:
    place = Place([candidate("a")], [candidate("b")])
    await place.share()
    assert place.was_compared == [("a", False), ("b", False)]
    assert place.asked == [AT_ONCE] * 3
    many = Place(*[[candidate("a")]] * (ROUNDS_MAX + 5))
    await many.share()
    assert len(many.rounds) == 5
