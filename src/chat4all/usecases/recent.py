"""What this process has accepted a moment ago, before it can be read from the store."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

RECENT_SECONDS = 60.0
RECENT_MAX = 10_000

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class Recent(Generic[K, R]):
    """The last accepted records, by what identifies them.

    In order of arrival: `keep` runs for every message and must find the oldest without a search.
    """

    def __init__(self) -> None:
        # In a plain dict, finding the oldest passes over every entry deleted before it.
        self._records: OrderedDict[K, tuple[float, R]] = OrderedDict()

    def keep(self, key: K, record: R, now: float) -> None:
        """Keep a record, unless its id was accepted before: the first one in the log counts."""
        records = self._records
        if key not in records:
            records[key] = (now, record)
            # Texts may be long: what is too old is not kept until others displace it.
            while len(records) > RECENT_MAX or (
                records and next(iter(records.values()))[0] + RECENT_SECONDS <= now
            ):
                records.popitem(last=False)

    def drop(self, key: K, record: R) -> None:
        """Forget a record, if it is the one that is kept of its key."""
        found = self._records.get(key)
        if found is not None and found[1] is record:
            del self._records[key]

    def get(self, key: K, now: float) -> R | None:
        """Return the record of this key, if it is not too old."""
        found = self._records.get(key)
        return found[1] if found is not None and now < found[0] + RECENT_SECONDS else None
