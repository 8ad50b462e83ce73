"""Which partitions a member of the router's group has, and may commit (EXACTNESS 2)."""

from collections.abc import Iterable, Mapping, Sequence, Set

from chat4all.domain.ids import LogPosition


class Assignments:
    """The assigned partitions, each assignment with a number of its own.

    A partition that was revoked and assigned again has a new number: whatever was taken, handed out
    or is to be committed under the old one no longer counts. Makes no calls to Kafka.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._last = 0
        self._unchecked: set[int] = set()
        self._handed_out: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    @property
    def partitions(self) -> Set[int]:
        """The partitions that are assigned now."""
        return set(self._numbers.copy())

    @property
    def unchecked(self) -> Set[int]:
        """Partitions whose committed offset was not checked since they were assigned."""
        return frozenset(self._unchecked)

    @property
    def committed(self) -> Mapping[int, int]:
        """The committed offset of each partition that was checked."""
        return self._committed.copy()

    def assign(self, partitions: Iterable[int]) -> None:
        """Add partitions, each under the next number."""
        for partition in partitions:
            self._last += 1
            self._numbers[partition] = self._last
            self._unchecked.add(partition)

    def revoke(self, partitions: Iterable[int]) -> None:
        """Drop partitions and their state."""
        for partition in partitions:
            self._numbers.pop(partition, None)
            self._committed.pop(partition, None)
            self._unchecked.discard(partition)

    def check(self, committed: Mapping[int, int]) -> None:
        """Note partitions whose committed offsets are good; revoked ones are ignored."""
        self._unchecked.difference_update(committed)
        self._committed |= {n: offset for n, offset in committed.items() if n in self._numbers}

    def number_of(self, partition: int) -> int | None:
        """Return the number under which a partition is assigned; None when it is not."""
        return self._numbers.get(partition)

    def hand_out(self) -> Mapping[int, int]:
        """Return the number of each assigned partition; commits are judged by these from now on."""
        self._handed_out = dict(self._numbers)
        return dict(self._numbers)

    def committable(self, through: Sequence[LogPosition]) -> dict[int, int]:
        """Return, by partition, the offset after each of these records that we may commit.

        Its partition must have the assignment under which records were last handed out.
        """
        return {
            place.partition: place.offset + 1
            for place in through
            if self._handed_out.get(place.partition, 0) == self._numbers.get(place.partition)
        }

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Note that these offsets, by partition, are committed."""
        self._committed |= offsets
