"""Bots on both clients while gateways, routers and they themselves are killed."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.following import Writer
from tests.cluster.services import Service, all_ready
from tests.cluster.site import Site, new_names
from tests.cluster.test_live_faults import current
from tests.cluster.test_services import PASSWORD, People
from tests.copies import Copy, numbers
from tests.faults.running import call, until
from tests.javascript.node import NODE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.alone,
    pytest.mark.timeout(900, func_only=True),
]

BOTS = Path(__file__).parent / "bots"
COMMANDS = {"python": [sys.executable, str(BOTS / "bot.py")], "node": [NODE, str(BOTS / "bot.mjs")]}

IN_HAND = 2
"""Events that a bot has written down when it is killed, and that its positions do not have yet."""


class Bot:
    """A process with a journal, which can be killed and started again."""

    def __init__(self, command: Sequence[str], gateway: Service, name: str, folder: Path) -> None:
        self.journal = folder / "journal"
        self._positions = folder / "positions"
        self._command = [*command, gateway.url, name, PASSWORD, str(self._positions)]
        self._errors = folder / "errors"

    def start(self) -> None:
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen([*self._command, str(self.journal)], stderr=errors)

    def kill(self) -> None:
        assert self._process.poll() is None, self._errors.read_text()
        self._process.kill()
        self._process.wait(30)

    def saved(self) -> dict[str, str]:
        """Return the positions from which it would go on."""
        try:
            found: dict[str, str] = json.loads(self._positions.read_bytes())["positions"]
        except FileNotFoundError:
            return {}
        return found

    def lines(self) -> Iterator[dict[str, Any] | None]:
        """Yield the events that it was given, and None where it was started."""
        with self.journal.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)


FRAMES = {"MessageCreated": "message", "MessageChanged": "message_changed"}


class Had(Copy):
    """What a bot's journal says that it has of one conversation."""

    repeated = 0
    """Events that it was given again since it was started."""

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event, unless it was in hand when the bot was killed."""
        assert self.position is not None
        if event["type"] == "MessagesReloaded":
            for message in event["messages"]:
                number = message["seq"]
                if number > len(self.has) + 1:
                    self.wrong.append(f"{number} came after {len(self.has)}")
                self.has[number - 1 : number] = [message]
            self.position = event["position"]
        elif numbers(event["position"]) <= numbers(self.position) and self.repeated < IN_HAND:
            self.repeated += 1
        else:
            self.take({**event, "type": FRAMES[event["type"]]})


def had(bot: Bot, chats: Sequence[str]) -> dict[str, Had]:
    """Return what the bot has, by conversation."""
    found = {chat: Had(chat) for chat in chats}
    for line in bot.lines():
        if line is None:
            for one in found.values():
                one.repeated = 0
        else:
            chat = line.get("conversation_id") or line["message"]["conversation_id"]
            found[chat].hear(line)
    return found


@pytest.mark.parametrize(
    ("seconds", "kills", "bot_kills", "chats"),
    [(12, 2, 1, 4), pytest.param(300, 10, 3, 20, marks=pytest.mark.endurance)],
)
@pytest.mark.parametrize("client", COMMANDS)
def test_a_bot_has_everything_whatever_is_killed(
    site: Site, tmp_path: Path, client: str, seconds: int, kills: int, bot_kills: int, chats: int
) -> None:
    """Mutants: those of the conformance suite; here it is the real server that breaks."""
    talks = [People(site.gateways, new_names(1)) for _ in range(chats)]
    (name,) = new_names(1)
    own = People(site.gateways, [name])
    for talk in talks:
        (owner,) = talk.tokens
        members = f"{site.gateways[0].url}/v1/conversations/{talk.chat}/members"
        assert call("POST", members, {"username": name}, talk.tokens[owner])[0] == 201
    names = [talk.chat for talk in talks]
    bot = Bot(COMMANDS[client], site.gateways[0], name, tmp_path)
    bot.start()
    try:
        # From here on it follows all of them, each from its beginning.
        until(lambda: bot.saved() == dict.fromkeys([*names, own.chat], "0.0"), 60)
        with ExitStack() as stack:
            for number, talk in enumerate(talks):
                (owner,) = talk.tokens
                gateway = site.gateways[number % 2]
                # 50 messages a second in all, and 30 changes.
                writer = Writer(talk, owner, gateway, number, pause=chats / 50)
                writer.start()
                stack.callback(writer.end)
            _kill(site, bot, seconds, kills, bot_kills)
        all_ready(site.services)
        heads = [current(talk, site.gateways[0]) for talk in talks]
        until(lambda: [one.position for one in had(bot, names).values()] == heads, 120)
    finally:
        bot.kill()
    for talk, one in zip(talks, had(bot, names).values(), strict=True):
        (owner,) = talk.tokens
        history = talk.history(owner, site.gateways[0])
        sent = talk.sent[owner]
        assert [message["message_id"] for message in history] == sent.acknowledged
        for message in history:
            if message["edited_at"] is None and message["deleted_at"] is None:
                assert message["content"] == sent.contents[message["message_id"]]
        assert one.wrong == []
        assert [_shown(message) for message in one.has if message] == [*map(_shown, history)]
    print(f"{sum(len(o.has) for o in had(bot, names).values())} messages")


def _kill(site: Site, bot: Bot, seconds: int, kills: int, bot_kills: int) -> None:
    """Kill a gateway, a router or the bot, one after the other, spread over the time there is."""
    began = time.monotonic()
    plan = [(number / kills, "services") for number in range(kills)]
    plan += [((number + 0.5) / bot_kills, "bot") for number in range(bot_kills)]
    for number, (share, what) in enumerate(sorted(plan)):
        until(lambda: time.monotonic() - began >= share * seconds, seconds + 60)  # noqa: B023
        if what == "bot":
            bot.kill()
            bot.start()
        else:
            for service in (site.gateways[number % 2], site.router):
                service.kill()
                service.start()
    until(lambda: time.monotonic() - began >= seconds, seconds + 60)


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    """Without what differs between a frame and a page, and between readers."""
    shown = {name: value for name, value in message.items() if value not in (None, [], {})}
    shown.pop("status", None)
    return shown
