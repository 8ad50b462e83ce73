"""Which partitions a member of the router's group has, and may commit (EXACTNESS 2)."""

from collections.abc import Iterable, Mapping, Sequence, Set

from chat4all.domain.ids import LogPosition


class Assignments:
    """The assigned partitions, each assignment with a number of its own.

    A partition that was revoked and assigned again has a new number: whatever was taken, handed out
    or is to be committed under the old one no longer counts. Makes no calls to Kafka.
    """

    def __init__(self) -> None:
        self.are_known = False
        """Whether the group has assigned anything, be it nothing, and it was not lost since."""
        self._numbers: dict[int, int] = {}
        self._last = 0
        self._unchecked: set[int] = set()
        self._stopped: dict[int, str] = {}
        self._handed_out: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    @property
    def partitions(self) -> Set[int]:
        """The partitions that are assigned now."""
        return set(self._numbers.copy())

    @property
    def unchecked(self) -> Mapping[int, int]:
        """The numbers of the assignments whose committed offset was not checked yet."""
        return {n: number for n, number in self._numbers.copy().items() if n in self._unchecked}

    @property
    def stopped(self) -> Mapping[int, str]:
        """Partitions of which nothing is handed out any more, each with the cause.

        Not those that are still to be checked, since the check may know the cause better.
        """
        stopped = self._stopped.copy()
        return {n: cause for n, cause in stopped.items() if n not in self._unchecked}

    @property
    def committed(self) -> Mapping[int, int]:
        """The committed offset of each partition that was checked."""
        return self._committed.copy()

    def assign(self, partitions: Iterable[int]) -> None:
        """Add partitions, each under the next number."""
        self.are_known = True
        for partition in partitions:
            self._last += 1
            self._numbers[partition] = self._last
            self._unchecked.add(partition)

    def revoke(self, partitions: Iterable[int]) -> None:
        """Drop partitions and their state."""
        for partition in partitions:
            self._numbers.pop(partition, None)
            self._committed.pop(partition, None)
            self._stopped.pop(partition, None)
            self._unchecked.discard(partition)

    def lose(self, partitions: Iterable[int]) -> None:
        """Drop partitions that the group has given to others already."""
        self.revoke(partitions)
        self.are_known = False

    def check(
        self,
        numbers: Mapping[int, int],
        committed: Mapping[int, int],
        troubles: Mapping[int, str],
    ) -> None:
        """Note the committed offset of partitions, and which must stop because of theirs.

        `numbers` are those of the assignments that were checked: others are ignored.
        """
        for partition, number in numbers.items():
            if self._numbers.get(partition) == number:
                self._committed[partition] = committed[partition]
                if partition in troubles:
                    self._stopped[partition] = troubles[partition]
                self._unchecked.discard(partition)

    def stop(self, partition: int, cause: str) -> None:
        """Hand out nothing more of a partition for as long as it is assigned."""
        if partition in self._numbers:
            self._stopped.setdefault(partition, cause)  # the first one explains the others

    def is_open(self, partition: int) -> bool:
        """Say whether records of an assigned partition may be handed out."""
        return partition not in self._unchecked and partition not in self._stopped

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
        self._committed |= {n: offset for n, offset in offsets.items() if n in self._numbers}
