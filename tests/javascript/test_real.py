"""The JavaScript client against the real server on one machine, which is killed."""

import json
import subprocess
from collections.abc import Iterator
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


def test_each_message_is_heard_once_and_in_order_while_the_server_is_killed(
    running: Running, tmp_path: Path
) -> None:
    printed = tmp_path / "printed"
    with printed.open("w") as output:
        talk = subprocess.Popen(
            [NODE, "tests/javascript/talk.mjs", running.gateway, CHAT, str(COUNT)],
            cwd=ROOT,
            stdout=output,
        )

    def lines(kind: str) -> list[dict[str, Any]]:
        whole = printed.read_text().rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, whole) if line["type"] == kind]

    try:
        for so_far in KILLED_AT:
            until(lambda: len(lines("MessageCreated")) >= so_far)  # noqa: B023
            running.kill()
            running.start()
        assert talk.wait(50) == 0
    finally:
        talk.kill()
        talk.wait(30)

    history = running.history(running.token("ana"))
    sent = [line["message_id"] for line in lines("Sent")]
    heard = lines("MessageCreated")
    assert [one["message_id"] for one in history] == sent
    assert [one["message_id"] for one in heard] == sent
    assert [one["seq"] for one in heard] == list(range(1, COUNT + 2))
    changes = [int(one["position"].split(".")[1]) for one in lines("MessageChanged")]
    assert changes == sorted(set(changes))
    now = {one["seq"]: one["content"] for one in heard + lines("MessageChanged")}
    edited = {seq: text for seq, text in now.items() if text.startswith("edited")}
    assert edited == {seq: f"edited {seq}" for seq in range(7, COUNT + 1, 7)}
    assert [one["seq"] for one in history if one["reactions"]] == list(range(5, COUNT + 2, 5))
