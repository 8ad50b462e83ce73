"""The programs in `examples/`, run as they are."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chat4all.client import Client
from tests.faults.running import Running, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("chat")).start()
    yield found
    found.kill()


class Example:
    """One program, in a folder of its own; it can be killed and started again."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self._folder = folder
        self._argv = [sys.executable, str(EXAMPLES / name), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "errors").open("ab") as errors:
            self._process = subprocess.Popen(self._argv, cwd=self._folder, stderr=errors)

    def kill(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "errors").read_text()
        self._process.kill()
        self._process.wait()


@contextmanager
def started(example: Example) -> Iterator[Example]:
    example.start()
    try:
        yield example
    finally:
        example.kill()


def conversation(running: Running, *messages: str) -> str:
    """Return a new group of ana and bruno, with messages of bruno's."""

    async def make() -> str:
        async with Client(running.gateway, "bruno", "test") as bruno:
            chat = (await bruno.create_group("Test", ["ana"])).conversation_id
            for message in messages:
                await bruno.send(chat, message)
            return chat

    return asyncio.run(make())


def act(running: Running, action: Callable[[Client], Any], username: str = "bruno") -> Any:
    async def acting() -> Any:
        async with Client(running.gateway, username, "test") as client:
            return await action(client)

    return asyncio.run(acting())


def contents(running: Running, chat: str) -> list[tuple[str, str]]:
    history = running.history(running.token("bruno"), chat)
    return [(one["sender_id"], one["content"]) for one in history]


def test_the_echo_bot_answers_each_message_once(running: Running, tmp_path: Path) -> None:
    chat = conversation(running)
    bot = Example(tmp_path, "echo.py", running.gateway, "ana", "test")
    said = [str(number) for number in range(30)]

    async def say(bruno: Client, some: list[str]) -> None:
        for content in some:
            await bruno.send(chat, content)

    async def say_and_delete(bruno: Client) -> None:
        """What has no text when the bot comes to it must not stop it at every start."""
        await bruno.delete(chat, await bruno.send(chat, "never mind"))

    def echoed(count: int) -> bool:
        return sum(sender == "ana" for sender, _ in contents(running, chat)) >= count

    with started(bot):
        until(
            lambda: (
                (tmp_path / "echo.json").exists() and chat in (tmp_path / "echo.json").read_text()
            )
        )
        act(running, lambda bruno: say(bruno, said[:10]))
        until(lambda: echoed(5))
        bot.kill()
        act(running, lambda bruno: say(bruno, said[10:20]))
        act(running, say_and_delete)
        bot.start()
        act(running, lambda bruno: say(bruno, said[20:]))
        until(lambda: echoed(12))
        bot.kill()
        bot.start()
        until(lambda: echoed(len(said)))
        bot.kill()
        bot.start()
        act(running, lambda bruno: say(bruno, ["end"]))
        until(lambda: ("ana", "end") in contents(running, chat))
    of_bot = [content for sender, content in contents(running, chat) if sender == "ana"]
    assert of_bot == [*said, "end"]


def test_the_bridge_copies_each_message_once(running: Running, tmp_path: Path) -> None:
    source, target = conversation(running, *map(str, range(10))), conversation(running)
    bridge = Example(tmp_path, "bridge.py", running.gateway, "ana", "test", source, target)

    def copied(count: int) -> bool:
        return len(contents(running, target)) >= count

    async def change(bruno: Client) -> None:
        first, second, *_ = [one async for page in bruno.history(source, after=0) for one in page]
        await bruno.edit(source, first.message_id, "edited")
        await bruno.react(source, first.message_id, "👍")
        await bruno.delete(source, second.message_id)
        for number in range(10, 20):
            await bruno.send(source, str(number))

    with started(bridge):
        until(lambda: copied(4))
        bridge.kill()
        act(running, change)
        bridge.start()
        until(lambda: copied(14))
        bridge.kill()
        bridge.start()
        until(lambda: copied(20))
        wanted = [f"bruno: {number}" for number in range(20)]
        wanted[:2] = ["bruno: edited", ""]
        until(lambda: [content for _, content in contents(running, target)] == wanted)

        async def texts(ana: Client) -> list[str]:
            (copy, *_) = [one async for page in ana.history(target, after=0) for one in page]
            return [one.content for one in await ana.edits(target, copy.message_id)]

        assert act(running, texts, "ana") == ["bruno: 0", "bruno: edited"]


def test_the_notifier_tells_of_others_messages(running: Running, tmp_path: Path) -> None:
    chat = conversation(running)
    told = tmp_path / "told"
    command = tmp_path / "notify"
    command.write_text(f'#!/bin/sh\necho "$1 | $2" >> {told}\n')
    command.chmod(0o700)
    with started(Example(tmp_path, "notifier.py", running.gateway, "ana", "test", str(command))):
        number = 0

        def heard() -> bool:
            """It has no file that says when it is connected: say something until it is heard."""
            nonlocal number
            number += 1
            act(running, lambda bruno: bruno.send(chat, f"number {number}"))
            return told.exists()

        until(heard)
        act(running, lambda bruno: bruno.send(chat, "lunch?"))
        until(lambda: "lunch?" in told.read_text())
    lines = told.read_text().splitlines()
    assert lines[-1] == "bruno (Test) | lunch?"
    assert len(lines) == len(set(lines))
