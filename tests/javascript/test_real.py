"""The JavaScript client against the real server on one machine, which is killed."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.running import CHAT, Running, until
from tests.javascript.node import NODE, ROOT

pytestmark = pytest.mark.slow

COUNT = 60
KILLED_AT = (15, 35)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    yield found
    found.kill()


class Conversation:
    """Bruno writes and ana hears, in a process; all that is printed of it."""

    def __init__(self, server: Running, printed: Path, node: Sequence[str], *options: str) -> None:
        self._server = server
        self._printed = printed
        with printed.open("w") as output:
            self.process = subprocess.Popen(
                [*node, "tests/javascript/talk.mjs", server.gateway, CHAT, str(COUNT), *options],
                cwd=ROOT,
                stdout=output,
            )

    def lines(self, kind: str) -> list[dict[str, Any]]:
        whole = self._printed.read_text().rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, whole) if line["type"] == kind]

    def check(self) -> None:
        """Wait for its end; each message was heard once and in order, and each change."""
        try:
            assert self.process.wait(50) == 0
        finally:
            self.process.kill()
            self.process.wait(30)
        history = self._server.history(self._server.token("ana"))
        sent = [line["message_id"] for line in self.lines("Sent")]
        heard = self.lines("MessageCreated")
        assert [one["message_id"] for one in history] == sent
        assert [one["message_id"] for one in heard] == sent
        assert [one["seq"] for one in heard] == list(range(1, COUNT + 2))
        changes = [int(one["position"].split(".")[1]) for one in self.lines("MessageChanged")]
        assert changes == sorted(set(changes))
        now = {one["seq"]: one["content"] for one in heard + self.lines("MessageChanged")}
        edited = {seq: text for seq, text in now.items() if text.startswith("edited")}
        assert edited == {seq: f"edited {seq}" for seq in range(7, COUNT + 1, 7)}
        assert [one["seq"] for one in history if one["reactions"]] == [*range(5, COUNT + 2, 5)]


def test_each_message_is_heard_once_and_in_order_while_the_server_is_killed(
    running: Running, tmp_path: Path
) -> None:
    talk = Conversation(running, tmp_path / "printed", [NODE])
    try:
        for so_far in KILLED_AT:
            until(lambda: len(talk.lines("MessageCreated")) >= so_far)  # noqa: B023
            running.kill()
            running.start()
    finally:
        talk.check()


def test_a_node_without_a_websocket_is_given_one(running: Running, tmp_path: Path) -> None:
    """Node 20, the oldest that is supported, has one that it shows only when it is told to."""
    node = ["node", "--experimental-websocket", "--no-warnings"]
    Conversation(running, tmp_path / "printed", node, "injected").check()


@pytest.mark.parametrize("node", [NODE, "node"])
def test_a_download_goes_on_after_the_server_was_killed(
    running: Running, tmp_path: Path, node: str
) -> None:
    """Node 20 is given no `WebSocket`: files need none."""
    film, saved = tmp_path / "film", tmp_path / "saved"
    film.write_bytes(os.urandom(30_000_000))
    command = [node, "tests/javascript/save.mjs", running.gateway, str(film), str(saved)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            # More is on its way than fits between the two.
            assert int(process.stdout.readline()) < 2_000_000
            running.kill()
            running.start()
            process.stdin.write("go on\n")
            process.stdin.flush()
            assert int(process.stdout.readline()) == 30_000_000
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert saved.read_bytes() == film.read_bytes()
