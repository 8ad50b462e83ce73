"""`chat4all files`, at a scripted server."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from chat4all.terminal.showing import FILES_HEAD, Screen
from tests.terminal.made import own_file
from tests.terminal.servers import Answer, Scripted
from tests.terminal.test_outcomes import Chat4all, chat4all, give_up_soon, problem, server
from tests.terminal.test_showing import HOSTILE, pipe

__all__ = ["chat4all", "pipe", "server"]

LIST = "GET /v1/files"
FIRST, SECOND = own_file(1), own_file(2, size=5, in_use=True, expires_at=None)


@pytest.fixture(autouse=True)
def _signed_in(server: Scripted) -> None:
    server.sign_in()
    server.answers[LIST] = lambda _: (200, msgspec.to_builtins([FIRST, SECOND]))


def deletions(server: Scripted, answers: dict[str, Callable[[Any], Answer]]) -> None:
    server.answers |= {f"DELETE /v1/files/{name}": answer for name, answer in answers.items()}


def done(_: Any) -> Answer:
    return 204, None


def lost(_: Any) -> Answer:
    return None


def test_files_are_listed(server: Scripted, chat4all: Chat4all) -> None:
    status, output, _ = chat4all("files", "--text")
    assert status == 0
    assert output.splitlines() == [
        FILES_HEAD,
        f"{FIRST.file_id}    47.1 KiB  unused     praia.jpg",
        f"{SECOND.file_id}     5 bytes  in use     praia.jpg",
    ]
    status, output, _ = chat4all("files", "--json", "-n", "1", "--largest")
    assert (status, [json.loads(line) for line in output.splitlines()]) == (
        0,
        [msgspec.json.decode(msgspec.json.encode(FIRST))],
    )
    server.answers[LIST] = lambda _: (200, [])
    assert chat4all("files", "--text")[:2] == (0, "")


def test_files_are_deleted_up_to_the_first_that_is_refused(
    server: Scripted, chat4all: Chat4all
) -> None:
    third = own_file(3).file_id
    deletions(
        server,
        {
            FIRST.file_id: done,
            SECOND.file_id: problem(409, "a message has this file"),
            third: done,
        },
    )
    status, output, told = chat4all("files", "delete", FIRST.file_id.upper(), SECOND.file_id, third)
    assert status == 1
    assert json.loads(output) == {"file_id": FIRST.file_id, "done": "deleted"}
    assert f"{SECOND.file_id} was not deleted: a message has this file" in told
    asked = [path for method, path, *_ in server.asked if method == "DELETE"]
    assert asked == [f"/v1/files/{one.file_id}" for one in (FIRST, SECOND)]


def test_the_statuses_of_a_deletion(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up_soon(monkeypatch)
    deletions(server, {FIRST.file_id: problem(404, "no such file"), SECOND.file_id: lost})
    status, _, told = chat4all("files", "delete", FIRST.file_id)
    assert (status, f"deleted before: {FIRST.file_id}" in told) == (4, True)
    status, _, told = chat4all("files", "delete", SECOND.file_id)
    assert (status, f"whether {SECOND.file_id} was deleted" in told) == (6, True)
    for wrong in (("files", "delete"), ("files", "delete", "praia.jpg"), ("files", "remove")):
        assert chat4all(*wrong)[0] == 2


def test_a_deletion_that_broke_off_is_gone_on_with_by_the_same_command(
    server: Scripted, chat4all: Chat4all
) -> None:
    deletions(server, {FIRST.file_id: problem(404, "no such file"), SECOND.file_id: done})
    status, output, told = chat4all("files", "delete", FIRST.file_id, SECOND.file_id)
    assert status == 4
    assert json.loads(output) == {"file_id": SECOND.file_id, "done": "deleted"}
    assert f"deleted before: {FIRST.file_id}" in told


@pytest.mark.parametrize("option", ["--json", "--user=bruno", "--largest", "--limit=1"])
def test_options_of_the_list_are_not_those_of_a_deletion(
    server: Scripted, chat4all: Chat4all, option: str
) -> None:
    """With the wrong `--user` a file of somebody else would be deleted."""
    status, output, told = chat4all("files", option, "delete", FIRST.file_id)
    assert (status, output) == (2, "")
    assert "Put options behind `delete`" in told
    assert server.asked == []


def test_a_name_cannot_move_the_cursor(pipe: None) -> None:
    shown = Screen().file(own_file(1, name=HOSTILE, state="\x1b[2J"))
    assert len(shown.splitlines()) == 1
    assert "\x1b" not in shown
