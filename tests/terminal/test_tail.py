"""`chat4all tail` as a process: killed and run again it misses nothing and repeats nothing."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.running import Running, call, until
from tests.terminal.people import Person, ended, seqs

pytestmark = pytest.mark.slow

OTHER = "a message of another conversation"


@pytest.fixture
def chat(running: Running) -> str:
    """Return the id of a new group of bruno, its owner, and ana."""
    return make_group(running, str(uuid4()))


def make_group(running: Running, title: str) -> str:
    body = {"type": "group", "title": title, "members": ["ana"]}
    url = f"{running.gateway}/v1/conversations"
    status, made = call("POST", url, body, running.token("bruno"))
    assert status == 201
    return str(made["conversation_id"])


@pytest.fixture
def ana(running: Running, tmp_path: Path) -> Person:
    return Person(running, tmp_path / "ana", "ana").sign_in()


def send(running: Running, token: str, chat: str, content: str) -> None:
    body = {"chat_id": chat, "content": content}
    assert call("POST", f"{running.gateway}/v1/messages", body, token)[0] == 202


@contextmanager
def writing(running: Running, token: str, chat: str) -> Iterator[list[str]]:
    """Write without a pause; what was accepted is in the list."""
    sent: list[str] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            send(running, token, chat, f"number {len(sent) + 1}")
            sent.append(f"number {len(sent) + 1}")
            stop.wait(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield sent
    finally:
        stop.set()
        writer.join(30)


def test_runs_that_are_ended_by_signals_follow_one_another(
    running: Running, ana: Person, chat: str, tmp_path: Path
) -> None:
    """SIGTERM and Ctrl-C at any moment; SIGKILL may leave the last line to be printed again."""
    ana.rows("tail", "--no-follow", "--cursor", "all of it")
    file = tmp_path / "printed"
    endings = [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGTERM]
    with writing(running, running.token("bruno"), chat) as sent:
        for number in endings:
            before = len(file.read_text()) if file.exists() else 0
            with (
                file.open("a") as output,
                ana.started("tail", "--cursor", "all of it", stdout=output) as process,
            ):
                until(lambda: len(file.read_text()) > before)  # noqa: B023
                status, told = ended(process, number)
            assert status == (-number if number is signal.SIGKILL else 128 + number)
            assert told == ""
    with file.open("a") as output:
        until(lambda: len(running.history(running.token("ana"), chat)) == len(sent))
        with ana.started("tail", "--cursor", "all of it", "--no-follow", stdout=output) as process:
            assert process.wait(60) == 0
    printed = seqs(file)
    once = list(dict.fromkeys(printed))
    assert once == list(range(1, len(sent) + 1))
    assert len(printed) - len(once) <= endings.count(signal.SIGKILL)


def test_it_goes_on_when_the_server_does(
    running: Running, ana: Person, chat: str, tmp_path: Path
) -> None:
    file = tmp_path / "printed"
    token = running.token("bruno")
    ana.rows("tail", "--no-follow", chat)
    with file.open("w") as output, ana.started("tail", chat, stdout=output) as process:
        # The first one may be printed before the connection is whole, whose end is not told then.
        for seq in (1, 2):
            send(running, token, chat, "before")
            until(lambda: seqs(file) == [*range(1, seq + 1)])  # noqa: B023
        running.kill()
        running.start()
        send(running, running.token("bruno"), chat, "after")
        until(lambda: seqs(file) == [1, 2, 3])
        status, told = ended(process, signal.SIGINT)
    assert status == 130
    assert told.endswith("; connecting again\n")
    assert len(told.splitlines()) == 1


def test_a_reader_that_goes_ends_it_though_nothing_is_printed(
    running: Running, ana: Person, chat: str
) -> None:
    with ana.started("tail", "-n", "0", "--all-events") as process:
        until(lambda: any(path.name == "all.json" for path in ana.kept()))
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        assert process.wait(30) == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_it_lives_through_another_sign_in_and_ends_with_the_session(
    running: Running, ana: Person, chat: str
) -> None:
    with ana.started("tail", chat) as process:
        assert process.stdout is not None
        for content in ("before", "after"):
            until(lambda: any(path.name == f"{chat}.json" for path in ana.kept()))
            send(running, running.token("bruno"), chat, content)
            assert json.loads(process.stdout.readline())["message"]["content"] == content
            ana.sign_in()
        ana.rows("logout")
        assert process.wait(60) == 3
        assert process.stderr is not None
        assert "signed out" in process.stderr.read()


def test_each_cursor_is_told_everything_and_has_one_reader(
    running: Running, ana: Person, chat: str
) -> None:
    token = running.token("bruno")
    other = make_group(running, "Another")

    def told(*options: str) -> list[str]:
        rows = ana.rows("tail", "--no-follow", *options)
        return [one["message"]["content"] for one in rows if one["type"] == "message"]

    for cursor in ("one", "two"):
        assert told("--cursor", cursor) == []
    assert told(chat) == []
    send(running, token, chat, "for all")
    send(running, token, other, OTHER)
    until(lambda: len(running.history(token, chat)) == len(running.history(token, other)) == 1)
    for cursor in ("one", "two"):
        assert sorted(told("--cursor", cursor)) == [OTHER, "for all"]
        assert told("--cursor", cursor) == []
    assert told(chat) == ["for all"]
    assert told(chat) == []
    assert told("Another", "-n", "5") == [OTHER], "the last ones, where it was never followed"
    with ana.started("tail", chat, "-n", "1") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["message"]["content"] == "for all"
        assert "another `chat4all tail`" in ana.refused(1, "tail", chat)


def test_what_is_changed_and_what_else_happens_is_printed(
    running: Running, ana: Person, chat: str
) -> None:
    token = running.token("bruno")
    with ana.started("tail", chat, "--all-events", "-n", "0") as process:
        assert process.stdout is not None
        until(lambda: any(path.name == f"{chat}.json" for path in ana.kept()))
        send(running, token, chat, "Ola")
        first = json.loads(process.stdout.readline())
        path = f"{running.gateway}/v1/conversations/{chat}"
        message = f"{path}/messages/{first['message']['message_id']}"
        assert call("PATCH", message, {"content": "Olá"}, token)[0] == 202
        rows = [first]
        while rows[-1]["type"] != "message_changed":
            rows.append(json.loads(process.stdout.readline()))
        assert rows[-1]["message"]["content"] == "Olá"
        assert rows[-1]["position"] == "1.1"
        mine = running.token("ana")
        assert call("POST", f"{path}/read", {"seq": 1}, mine)[0] == 202
        while rows[-1].get("username") != "ana":
            rows.append(json.loads(process.stdout.readline()))
        assert rows[-1] == {"type": "read", "conversation_id": chat, "username": "ana", "seq": 1}
        title = {"title": "Outro nome"}
        assert call("PATCH", path, title, token)[0] == 200
        while rows[-1].get("event") != "changed":
            rows.append(json.loads(process.stdout.readline()))
        assert call("DELETE", f"{path}/members/ana", token=token)[0] == 204
        assert process.wait(30) == 4
