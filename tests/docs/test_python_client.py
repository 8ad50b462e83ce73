"""The examples in docs/clients/python.md, run as they are shown."""

import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import chat4all.client
from chat4all.client import Client
from tests.api.conftest import CHAT
from tests.client.answering import answering
from tests.client.conftest import Served, ana, bruno, served
from tests.client.test_retries import NO_MORE
from tests.docs.blocks import blocks

__all__ = ["ana", "bruno", "served"]

pytestmark = pytest.mark.anyio

PAGE = Path("docs/clients/python.md")
TEXT = PAGE.read_text()
CODE = "\n".join(blocks(TEXT, "python"))
URL = "http://127.0.0.1:8000"


@pytest.fixture
def shown(served: Served) -> Iterator[dict[str, Any]]:
    """Return what the page defines; it runs `main` at the end of the test."""
    begun: list[Any] = []
    names: dict[str, Any] = {}
    with patch.object(asyncio, "run", begun.append):
        exec(compile(CODE.replace(URL, served.url), PAGE, "exec"), names)
    names["first"] = begun[0]
    yield names
    begun[0].close()


async def printed(capsys: pytest.CaptureFixture[str], *texts: str) -> None:
    """Return once all of these texts were printed."""
    seen = ""
    async with asyncio.timeout(30):
        while not all(text in seen for text in texts):
            await asyncio.sleep(0.01)
            seen += capsys.readouterr().out


async def test_sending(served: Served, shown: dict[str, Any], ana: Client) -> None:
    await shown["first"]
    await served.api.routed()
    (chat,) = [one.conversation_id async for one in ana.conversations() if one.peer == "bruno"]
    (page,) = [page async for page in ana.history(chat)]
    assert [one.content for one in page] == ["Olá, Ana! 🎉", "Lunch?"]
    assert [one.emoji for one in page.messages[0].reactions] == ["👍"]


async def test_reading(
    served: Served, shown: dict[str, Any], ana: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    await ana.send(CHAT, "hello")
    await served.api.routed()
    await shown["read"](ana, CHAT)
    assert capsys.readouterr().out.splitlines() == [
        "1 ana hello",
        "Demonstration 0",
        "member 2 0 1.0",
        "ana member",
        "bruno owner",
    ]


async def test_listening(
    shown: dict[str, Any], ana: Client, bruno: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    listening = asyncio.create_task(shown["listen"](ana))
    await printed(capsys, "Connected")
    message_id = await bruno.send(CHAT, "hello")
    await bruno.edit(CHAT, message_id, "hello again")
    await ana.watch("bruno")
    await printed(capsys, "bruno: hello", "1 is now: hello again", "bruno is offline")
    listening.cancel()
    await asyncio.wait([listening])


async def test_files(
    shown: dict[str, Any],
    ana: Client,
    bruno: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "praia.jpg").write_bytes(b"\xff\xd8\xff a beach")
    await shown["share"](ana, CHAT, "praia.jpg")
    assert "11 of 11 bytes" in capsys.readouterr().out
    async with asyncio.timeout(30):
        while not (pages := [page async for page in bruno.history(CHAT)]):
            await asyncio.sleep(0.01)
    (message,) = pages[0]
    assert (message.kind, message.content) == ("image", "from the beach")
    await shown["save"](bruno, message)
    assert (tmp_path / "saved.jpg").read_bytes() == b"\xff\xd8\xff a beach"


async def test_the_bot(
    served: Served,
    shown: dict[str, Any],
    bruno: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    echoing = asyncio.create_task(shown["echo"](served.url, "ana", "test"))
    async with asyncio.timeout(30):
        while not (tmp_path / "echo.json").exists():
            await asyncio.sleep(0.01)
        sent = 0
        async for event in bruno.events():
            if sent == 0:
                sent = 1
                await bruno.send(CHAT, "hello")
            if [one.sender_id for one in event.new_messages] == ["ana"]:
                break
    echoing.cancel()
    await asyncio.wait([echoing])


async def test_being_careful(shown: dict[str, Any], ana: Client) -> None:
    careful = shown["careful"]
    assert await careful(ana, CHAT, "") == "/content at least 1 character"
    nowhere = "0d6a1a2c-55a0-4b52-9d3e-6b3a5e8f7c21"
    assert "you are not in it" in await careful(ana, nowhere, "x")
    async with answering(None) as server, Client(server.url, token="t") as chat:
        chat._pace.factor = NO_MORE
        assert "try again later with" in await careful(chat, CHAT, "x")
    async with Client("http://127.0.0.1:1", token="t") as chat:
        chat._pace.factor = NO_MORE
        assert "try again in 1 s" in await careful(chat, CHAT, "x")


def test_the_bot_is_the_one_in_the_examples() -> None:
    def body(text: str) -> str:
        found = re.search(r"async def \w+\(url.*?(?=\n\n)", text, re.DOTALL)
        assert found
        return found[0].replace("def main", "def echo").strip()

    assert body(CODE[CODE.index("async def echo") :] + "\n\n") == body(
        Path("examples/echo.py").read_text()
    )


def test_every_call_and_every_error_is_named() -> None:
    calls = {name for name, _ in inspect.getmembers(Client) if not name.startswith("_")}
    for name in {*calls - {"close"}, *chat4all.client.__all__} - VIEWS:
        assert re.search(rf"\b{name}\b", TEXT), name


VIEWS = {
    *("Conversation", "Event", "Events", "ListedConversation", "Member", "Message"),
    *("NamingMessageView", "OwnProfile", "Page", "Positions", "ProblemError", "Profile"),
    *("ReactionCount", "ReceiptView", "Reply", "SessionView", "Token", "VersionView"),
}
"""What calls return; their fields are in `/docs`."""
