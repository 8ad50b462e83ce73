"""The independent checker: judges histories only by what clients sent and saw.

All it knows of the product are the fields of a message.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

History = Sequence[Mapping[str, Any]]


@dataclass
class Sent:
    """What one client remembers of what it sent into one conversation."""

    acknowledged: list[str] = field(default_factory=list)
    """The ids that were answered with 202, in the order of sending."""

    contents: dict[str, str] = field(default_factory=dict)
    """By id what was sent with it, acknowledged or not."""

    nameless: Counter[str] = field(default_factory=Counter)
    """Contents whose id the gateway was to make, and that were not answered: how often each."""

    def sends(self, content: str, message_id: str | None) -> None:
        """Remember a request; call it before the request is made."""
        if message_id is None:
            self.nameless[content] += 1
        else:
            known = self.contents.setdefault(message_id, content)
            assert known == content, "a client sent two contents with one id"

    def is_told(self, content: str, message_id: str | None) -> None:
        """Remember the id, if any, in the answer to a request that named none."""
        self.nameless[content] -= 1
        if message_id is not None:
            self.contents[message_id] = content

    def is_accepted(self, content: str, message_id: str) -> None:
        """Remember a 202."""
        self.sends(content, message_id)
        self.acknowledged.append(message_id)


def check_history(chat: str, sent: Mapping[str, Sent], readings: Sequence[History]) -> None:
    """Raise AssertionError unless the readings keep every promise.

    `sent` has, by sender, what each sent into the conversation; nobody else writes there.
    `readings` are whole histories of it as different readers saw them.
    """
    first = readings[0]
    for reading in readings[1:]:
        assert list(reading) == list(first), "two readers saw different histories"
    numbers = [message["seq"] for message in first]
    assert numbers == list(range(1, len(first) + 1)), "seq has a hole or a double"
    nameless = {sender: Counter(one.nameless) for sender, one in sent.items()}
    for message in first:
        assert message["conversation_id"] == chat, "a message is of another conversation"
        sender, content = message["sender_id"], message["content"]
        assert sender in sent, "a message is there that nobody sent"
        if message["message_id"] in sent[sender].contents:
            wanted = sent[sender].contents[message["message_id"]]
            assert content == wanted, f"a message of {sender} has another content"
        else:
            nameless[sender][content] -= 1
            assert nameless[sender][content] >= 0, "a message is there that nobody sent"
    for sender, one in sent.items():
        found = [m["message_id"] for m in first if m["sender_id"] == sender]
        assert len(found) == len(set(found)), f"a message of {sender} is there twice"
        accepted = set(one.acknowledged)
        assert [i for i in found if i in accepted] == one.acknowledged, (
            f"acknowledged messages of {sender} are missing or out of order"
        )
