"""The checker of histories sees what it is for."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.checker import Sent, check_history

CHAT = "a chat"
Message = dict[str, Any]


def message(seq: int, sender: str = "ana") -> Message:
    return {
        "conversation_id": CHAT,
        "seq": seq,
        "message_id": f"{sender}{seq}",
        "sender_id": sender,
        "content": f"{sender} says {seq}",
    }


def sent(*messages: Message) -> Sent:
    found = Sent()
    for one in messages:
        found.is_accepted(one["content"], one["message_id"])
    return found


GOOD = [message(1), message(2), message(3, "bruno")]
BY_ALL = {"ana": sent(*GOOD[:2]), "bruno": sent(GOOD[2])}


def with_contents_swapped(history: list[Message]) -> list[Message]:
    one, two, *rest = history
    return [one | {"content": two["content"]}, two | {"content": one["content"]}, *rest]


def test_a_good_history_passes() -> None:
    check_history(CHAT, BY_ALL, [GOOD, [dict(one) for one in GOOD]])


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (lambda good: good[:2], "missing or out of order"),
        (lambda good: [*good, message(5)], "a hole or a double"),
        (lambda good: [good[1] | {"seq": 1}, good[0] | {"seq": 2}, good[2]], "out of order"),
        (lambda good: [*good, good[0] | {"seq": 4}], "twice"),
        (with_contents_swapped, "another content"),
        (lambda good: [good[0] | {"content": ""}, *good[1:]], "another content"),
        (lambda good: [*good, message(4)], "nobody sent"),
        (lambda good: [*good, message(4, "a stranger")], "nobody sent"),
        (lambda good: [good[0] | {"sender_id": "bruno"}, *good[1:]], "nobody sent"),
        (lambda good: [good[0] | {"conversation_id": "another"}, *good[1:]], "another conv"),
    ],
)
def test_what_breaks_a_promise_is_found(
    wrong: Callable[[list[Message]], list[Message]], found: str
) -> None:
    with pytest.raises(AssertionError, match=found):
        check_history(CHAT, BY_ALL, [wrong(GOOD)])


def test_two_readers_must_see_the_same() -> None:
    with pytest.raises(AssertionError, match="different histories"):
        check_history(CHAT, BY_ALL, [GOOD, GOOD[:2]])


def test_what_was_not_acknowledged_may_be_there_or_not_but_as_it_was_sent() -> None:
    one = sent(GOOD[0])
    one.sends("ana says 2", "ana2")
    check_history(CHAT, {"ana": one}, [GOOD[:1]])
    check_history(CHAT, {"ana": one}, [GOOD[:2]])
    with pytest.raises(AssertionError, match="another content"):
        check_history(CHAT, {"ana": one}, [[GOOD[0], GOOD[1] | {"content": "x"}]])


def test_an_unknown_id_is_there_at_most_as_often_as_requests_were_not_answered() -> None:
    one = sent(GOOD[0])
    one.sends("ana says 2", None)
    check_history(CHAT, {"ana": one}, [GOOD[:2]])
    again = GOOD[1] | {"seq": 3, "message_id": "ana3"}
    with pytest.raises(AssertionError, match="nobody sent"):
        check_history(CHAT, {"ana": one}, [[*GOOD[:2], again]])
    one.sends("ana says 2", None)
    check_history(CHAT, {"ana": one}, [[*GOOD[:2], again]])
    one.is_told("ana says 2", "ana3")
    check_history(CHAT, {"ana": one}, [[*GOOD[:2], again]])
    one.is_told("ana says 2", None)  # refused
    assert +one.nameless == Counter()
    with pytest.raises(AssertionError, match="nobody sent"):
        check_history(CHAT, {"ana": one}, [[*GOOD[:2], again]])
