"""What the bridge of `examples/` sends, and under which ids."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from chat4all.client import Message
from chat4all.wire.messages import EXAMPLE_CHAT as CHAT
from tests.conformance.store import message_of

pytestmark = pytest.mark.anyio

FILE = Path(__file__).parents[2] / "examples" / "bridge.py"


class Server:
    """Takes each id once."""

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}
        self.changed: dict[str, str] = {}

    async def send(self, _: str, text: str, *, message_id: str, mark_read: bool) -> None:
        assert not mark_read
        self.sent.setdefault(message_id, text)

    async def edit(self, _: str, message_id: str, text: str, *, change_id: str) -> None:
        assert message_id in self.sent
        self.changed.setdefault(change_id, text)

    async def delete(self, _: str, message_id: str, *, change_id: str) -> None:
        self.changed.setdefault(change_id, f"{message_id} deleted")


def bridge() -> tuple[Any, Server]:
    spec = importlib.util.spec_from_file_location("bridge", FILE)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = Server()
    return module.Bridge(server, CHAT, CHAT), server


def message(content: str, **more: Any) -> Message:
    return msgspec.convert(message_of(CHAT, 1, content, sender_id="ana", **more), Message)


async def test_the_longest_message_is_copied_with_its_name() -> None:
    """A message that the server refuses would stop the bridge at each start."""
    one, server = bridge()
    await one.copy(message("x" * 10_000))
    await one.change(message("y" * 10_000, edited_at="1"))
    assert {len(text) for text in [*server.sent.values(), *server.changed.values()]} == {10_000}


async def test_what_is_told_twice_is_done_once() -> None:
    """A reaction tells of the edit again; so does an event that comes again at a later position."""
    one, server = bridge()
    await one.copy(message("one"))
    for _ in range(3):
        await one.change(message("two", edited_at="1"))
    await one.change(message("three", edited_at="2"))
    assert [*server.changed.values()] == ["ana: two", "ana: three"]
    for _ in range(2):
        await one.change(message("", edited_at="2", deleted_at="3"))
    assert len(server.changed) == 3
    assert len(server.sent) == 1


async def test_a_copy_that_an_earlier_run_has_sent_is_edited_even_if_it_is_not_stored() -> None:
    one, server = bridge()
    await one.change(message("two", edited_at="1"))
    assert [*server.sent.values()] == ["ana: two"]
