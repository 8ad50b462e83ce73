"""The judgement of what a bot wrote down finds every fault, and none where there is none."""

import pytest

from tests.cluster.journals import Line, had


def created(seq: int) -> Line:
    message = {"seq": seq, "conversation_id": "a", "content": f"number {seq}"}
    return {"type": "MessageCreated", "message": message, "position": f"{seq}.0"}


def changed(seq: int, position: str) -> Line:
    return {**created(seq), "type": "MessageChanged", "position": position}


def reloaded(first: int, last: int) -> Line:
    messages = [created(seq)["message"] for seq in range(first, last + 1)]
    return {
        "type": "MessagesReloaded",
        "conversation_id": "a",
        "messages": messages,
        "position": f"{last}.0",
    }


ONE, TWO, THREE, FOUR = map(created, range(1, 5))


@pytest.mark.parametrize(
    "journal",
    [
        [None, ONE, TWO, changed(1, "2.1"), THREE],
        [None, ONE, TWO, THREE, None, FOUR],
        [None, ONE, TWO, THREE, None, TWO, THREE, FOUR],
        [None, ONE, TWO, None, ONE, TWO, None, ONE, TWO, THREE],
        [None, ONE, TWO, None, ONE, None, ONE, TWO, THREE],
        [None, ONE, reloaded(1, 3), FOUR],
    ],
)
def test_what_was_in_hand_may_be_told_again(journal: list[Line | None]) -> None:
    found = had(journal, ["a"])["a"]
    assert found.wrong == []
    assert [one and one["seq"] for one in found.has] == [*range(1, len(found.has) + 1)]


@pytest.mark.parametrize(
    ("journal", "wrong"),
    [
        ([None, ONE, ONE], "1 came after 1"),
        ([None, ONE, THREE], "3 came after 1"),
        ([None, TWO], "2 came after 0"),
        ([None, ONE, changed(2, "1.1")], "a change of 2 came after 1"),
        ([None, ONE, TWO, THREE, None, ONE, TWO, THREE], "1 came after 3"),
        ([None, ONE, None, ONE, ONE], "1 came after 1"),
        ([None, ONE, TWO, THREE, None, FOUR, THREE], "3 came after 4"),
        ([None, ONE, reloaded(3, 4)], "3 came after 1"),
    ],
)
def test_doubles_holes_and_another_order_are_found(journal: list[Line | None], wrong: str) -> None:
    assert had(journal, ["a"])["a"].wrong[0] == wrong
