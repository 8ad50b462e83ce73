"""Bots on both clients while gateways, routers and they themselves are killed."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.checker import Sent, check_history
from tests.cluster.chats import patiently
from tests.cluster.following import Writer
from tests.cluster.journals import had
from tests.cluster.services import Service, all_ready
from tests.cluster.site import Site, new_names
from tests.cluster.test_live_faults import current
from tests.cluster.test_services import PASSWORD, People
from tests.faults.running import call, until
from tests.javascript.node import NODE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(900, func_only=True),
]

BOTS = Path(__file__).parent / "bots"
COMMANDS = {"python": [sys.executable, str(BOTS / "bot.py")], "node": [NODE, str(BOTS / "bot.mjs")]}

A_SECOND = 50
"""Messages, in all conversations together; more than half of them are followed by a change."""


class Bot:
    """A process with a journal, which can be killed and started again."""

    def __init__(self, command: Sequence[str], gateway: Service, name: str, folder: Path) -> None:
        self.journal = folder / "journal"
        self._positions = folder / "positions"
        self._command = [*command, gateway.url, name, PASSWORD, str(self._positions)]
        self._errors = folder / "errors"
        self.started = 0

    def start(self) -> None:
        self.started += 1
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen([*self._command, str(self.journal)], stderr=errors)

    def kill(self) -> None:
        assert self._process.poll() is None, self._errors.read_text()
        self._process.kill()
        self._process.wait(30)

    def ready(self) -> bool:
        """Say whether it was given an event since it was started."""
        lines = [*self.lines()]
        return lines.count(None) == self.started and lines[-1] is not None

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


@pytest.mark.parametrize(
    ("seconds", "kills", "bot_kills", "chats"),
    [(12, 2, 1, 4), pytest.param(300, 10, 3, 20, marks=pytest.mark.endurance)],
)
@pytest.mark.parametrize("client", ["python", pytest.param("node", marks=pytest.mark.endurance)])
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
        with writing(talks, site.gateways) as writers:
            _kill(site, bot, seconds, kills, bot_kills)
            # What could not be sent in its time is sent by now.
            until(lambda: sum(len(one.sent) for one in writers) >= A_SECOND * seconds, 120)
        all_ready(site.services)
        until(lambda: site.lag() == 0, 60)
        heads = [current(talk, site.gateways[0]) for talk in talks]
        patiently(lambda: [one.position for one in had(bot.lines(), names).values()] == heads)
    finally:
        bot.kill()
    assert min(writer.changes for writer in writers) > 0
    for talk, writer, one in zip(talks, writers, had(bot.lines(), names).values(), strict=True):
        readings = [
            [_shown(message) for message in talk.history(writer.name, gateway)]
            for gateway in site.gateways
        ]
        assert one.wrong == []
        readings.append([_shown(message) for message in one.has if message])
        sent = talk.sent[writer.name]
        as_sent = [[_as_sent(message, writer, sent) for message in reading] for reading in readings]
        check_history(talk.chat, talk.sent, as_sent)
        # Edits, reactions and deletions too are the same wherever they are read.
        assert readings == [readings[0]] * len(readings)
    print(f"{sum(len(one.sent) for one in writers)} messages, {bot.started} lives of the bot")


@contextmanager
def writing(talks: Sequence[People], gateways: Sequence[Service]) -> Iterator[list[Writer]]:
    """Let somebody write and change messages in each of these, `A_SECOND` in all."""
    with ExitStack() as stack:
        writers: list[Writer] = []
        for number, talk in enumerate(talks):
            (owner,) = talk.tokens
            pause, gateway = len(talks) / A_SECOND, gateways[number % len(gateways)]
            writers.append(Writer(talk, owner, gateway, number, pause, catches_up=True))
            writers[-1].start()
            stack.callback(writers[-1].end)
        yield writers


def _kill(site: Site, bot: Bot, seconds: int, kills: int, bot_kills: int) -> None:
    """Kill each gateway, the router and the bot, one after another, over the time there is.

    Only what has come up is killed: a service that is ready, a bot that was told something.
    """
    began = time.monotonic()
    victims: list[tuple[Service | Bot, int]] = [(bot, bot_kills), (site.router, kills)]
    victims += [(gateway, kills) for gateway in site.gateways]
    plan = [
        ((number + place / len(victims)) / count * seconds, place, victim)
        for place, (victim, count) in enumerate(victims)
        for number in range(count)
    ]
    for at, _, victim in sorted(plan, key=lambda one: one[:2]):
        until(lambda: time.monotonic() - began >= at, seconds + 60)  # noqa: B023
        until(victim.ready, 60)
        victim.kill()
        victim.start()
    until(lambda: time.monotonic() - began >= seconds, seconds + 60)


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    """Without what differs between a frame and a page, and between readers."""
    shown = {name: value for name, value in message.items() if value not in (None, [], {})}
    shown.pop("status", None)
    return shown


def _as_sent(message: dict[str, Any], writer: Writer, sent: Sent) -> dict[str, Any]:
    """Return a message as it was before its changes, which were the writer's."""
    message_id = message["message_id"]
    if "deleted_at" in message:
        assert message["content"] == ""
    elif "edited_at" in message:
        assert message["content"] in writer.edits[message_id]
    else:
        return message
    return {**message, "content": sent.contents[message_id]}
