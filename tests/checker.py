"""The independent checker: judges histories only by what clients saw.

All it knows of the product are the fields of a message.
"""

from collections.abc import Mapping, Sequence
from typing import Any

History = Sequence[Mapping[str, Any]]


def check_history(acknowledged: Mapping[str, Sequence[str]], readings: Sequence[History]) -> None:
    """Raise AssertionError unless the readings keep every promise.

    `acknowledged` has, by sender, the ids that were answered with 202, in the order of sending;
    `readings` are whole histories of one conversation as different readers saw them.
    """
    first = readings[0]
    for reading in readings[1:]:
        assert list(reading) == list(first), "two readers saw different histories"
    numbers = [message["seq"] for message in first]
    assert numbers == list(range(1, len(first) + 1)), "seq has a hole or a double"
    for sender, ids in acknowledged.items():
        found = [m["message_id"] for m in first if m["sender_id"] == sender]
        assert len(found) == len(set(found)), f"a message of {sender} is there twice"
        wanted = set(ids)
        assert [i for i in found if i in wanted] == list(ids), (
            f"acknowledged messages of {sender} are missing or out of order"
        )
