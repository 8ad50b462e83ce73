"""The client in docs/clients-without-sockets.md, run as it is shown."""

import threading
import urllib.error
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import blocks
from tests.faults.running import CHAT, Running, until

pytestmark = pytest.mark.slow

PAGE = Path("docs/clients-without-sockets.md")


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """Return the names that the page defines."""
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks(PAGE.read_text(), "python")), PAGE, "exec"), names)
    return names


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    yield found
    found.kill()


def test_each_message_is_received_once_and_in_order_while_the_server_is_killed(
    shown: dict[str, Any], running: Running
) -> None:
    bruno, ana = (shown["Client"](running.gateway, name, "test") for name in ("bruno", "ana"))
    sent: list[tuple[str, str]] = []
    count = 40

    def send() -> None:
        for number in range(count):
            content = f"message {number}"
            sent.append((shown["send"](bruno, CHAT, content), content))

    sender = threading.Thread(target=send)
    sender.start()
    received: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for so_far in (5, 20):
        until(lambda: len(sent) >= so_far)  # noqa: B023
        running.kill()
        running.start()
        received += shown["news"](ana, seen)

    def all_received() -> bool:
        received.extend(shown["news"](ana, seen))
        return len(received) >= count

    sender.join(60)
    until(all_received, 30)
    assert [(one["message_id"], one["content"]) for one in received] == sent
    assert [one["seq"] for one in received] == list(range(1, count + 1))
    assert seen == {CHAT: count}
    assert shown["news"](ana, seen) == []


class Scripted:
    """A client whose conversations `a`, `b` and `c` have two messages each."""

    def __init__(self) -> None:
        self.refused: dict[str, int] = {}
        """Status by conversation, of the page after the first message."""

    def call(self, _: str, path: str) -> tuple[list[dict[str, Any]], None]:
        if path.startswith("/v1/conversations?"):
            last = {"seq": 2}
            return [{"conversation_id": chat, "last_message": last} for chat in "abc"], None
        chat, last_seen = path.split("/")[3], int(path.rpartition("after=")[2])
        if last_seen == 1 and chat in self.refused:
            raise urllib.error.HTTPError(path, self.refused[chat], "refused", Message(), None)
        seq = last_seen + 1
        return [{"conversation_id": chat, "seq": seq}] if seq <= 2 else [], None


def test_what_was_fetched_before_an_error_is_returned_by_the_next_call(
    shown: dict[str, Any],
) -> None:
    client, seen = Scripted(), {"a": 1}
    client.refused = {"b": 500}
    with pytest.raises(urllib.error.HTTPError):
        shown["news"](client, seen)
    assert seen == {"a": 1}
    client.refused = {}
    received = [(one["conversation_id"], one["seq"]) for one in shown["news"](client, seen)]
    assert received == [("a", 2), ("b", 1), ("b", 2), ("c", 1), ("c", 2)]
    assert seen == {"a": 2, "b": 2, "c": 2}


@pytest.mark.parametrize("status", [403, 404])
def test_a_conversation_that_was_left_meanwhile_holds_up_no_other(
    shown: dict[str, Any], status: int
) -> None:
    client, seen = Scripted(), {"a": 2}
    client.refused = {"b": status}
    received = [(one["conversation_id"], one["seq"]) for one in shown["news"](client, seen)]
    assert received == [("c", 1), ("c", 2)]
    assert seen == {"a": 2, "c": 2}


def test_a_token_that_is_refused_is_renewed(shown: dict[str, Any], running: Running) -> None:
    bruno = shown["Client"](running.gateway, "bruno", "test")
    first, bruno.access = bruno.refresh, "expired"
    shown["send"](bruno, CHAT, "with another token")
    assert bruno.refresh != first


def test_more_conversations_than_a_page_are_followed(
    shown: dict[str, Any], running: Running
) -> None:
    bruno = shown["Client"](running.gateway, "bruno", "test")
    chats = []
    for number in range(60):
        group = {"type": "group", "title": str(number), "members": ["ana"]}
        chats.append(bruno.call("POST", "/v1/conversations", group)[0]["conversation_id"])
        shown["send"](bruno, chats[-1], f"to {number}")
    ana = shown["Client"](running.gateway, "ana", "test")
    received: dict[str, str] = {}
    seen: dict[str, int] = {}

    def all_received() -> bool:
        new = shown["news"](ana, seen)
        received.update({one["conversation_id"]: one["content"] for one in new})
        return len(received) >= len(chats)

    until(all_received)
    assert [received[chat] for chat in chats] == [f"to {number}" for number in range(60)]
