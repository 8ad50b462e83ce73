"""Files sent and saved by commands."""

import os
from pathlib import Path
from typing import Any

import pytest

from chat4all.client.uploading import Uploading
from chat4all.terminal.failing import Failed
from chat4all.terminal.transferring import target_of
from tests.faults.running import CHAT, Running, until
from tests.terminal.people import Person
from tests.terminal.servers import Scripted
from tests.terminal.test_outcomes import SEND, Chat4all, accepted, chat4all, server

__all__ = ["chat4all", "server"]


def stored(person: Person, message_id: str) -> dict[str, Any]:
    """Return a message once it is in the history."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        rows = person.rows("history", CHAT, "-n", "20")
        found.extend(row for row in rows if row["message_id"] == message_id)
        return bool(found)

    until(look)
    return found[0]


@pytest.mark.slow
def test_a_file_is_sent_and_saved(running: Running, tmp_path: Path) -> None:
    bruno = Person(running, tmp_path / "bruno").sign_in()
    ana = Person(running, tmp_path / "ana", "ana").sign_in()
    film = tmp_path / "film.bin"
    film.write_bytes(os.urandom(300_000))
    (sent,) = bruno.rows("send-file", CHAT, str(film), "look", "--alt", "Nothing much")
    message = stored(ana, sent["message_id"])
    assert (message["kind"], message["content"]) == ("file", "look")
    assert message["payload"]["alt"] == "Nothing much"
    (own,) = bruno.rows("files")
    assert (own["file_id"], own["name"]) == (message["payload"]["file_id"], "film.bin")
    assert own["messages"] == [{"conversation_id": CHAT, "message_id": sent["message_id"]}]
    assert ana.rows("files") == []
    assert "a message has this file" in bruno.refused(1, "files", "delete", own["file_id"])
    target = tmp_path / "saved.bin"
    seq = str(message["seq"])
    (saved,) = ana.rows("download", CHAT, seq, str(target))
    assert (saved["path"], saved["size"]) == (str(target), 300_000)
    assert target.read_bytes() == film.read_bytes()
    assert "is there already" in ana.refused(1, "download", CHAT, seq, str(target))
    ana.rows("download", CHAT, seq, str(target), "--force")
    (text,) = bruno.rows("send", CHAT, "just text")
    plain = str(stored(bruno, text["message_id"])["seq"])
    assert "has no file" in bruno.refused(4, "download", CHAT, plain)
    assert "no message" in bruno.refused(4, "download", CHAT, "99999")


def test_a_file_is_sent_without_reading(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def upload(*_: Any) -> str:
        return CHAT  # some id

    async def forget(*_: Any) -> None:
        return

    monkeypatch.setattr(Uploading, "upload", upload)
    monkeypatch.setattr(Uploading, "forget", forget)
    server.sign_in()
    server.answers[SEND] = accepted
    path = tmp_path / "report.pdf"
    path.write_bytes(b"x")
    for options in ((), ("--keep-unread",)):
        assert chat4all("send-file", CHAT, str(path), *options)[0] == 0
    assert [body.get("mark_read") for body in server.bodies(SEND)] == [None, False]


@pytest.mark.parametrize(
    ("name", "put"),
    [
        ("praia.jpg", "praia.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/passwd", "passwd"),
        (".bashrc", "bashrc"),
        ("..", "file"),
        ("", "file"),
    ],
)
def test_a_sender_does_not_choose_the_folder(
    name: str, put: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert target_of(None, name, replaces=False) == Path(put)
    assert target_of(str(tmp_path), name, replaces=False) == tmp_path / put
    Path(put).write_bytes(b"")
    with pytest.raises(Failed):
        target_of(None, name, replaces=False)
    assert target_of(None, name, replaces=True) == Path(put)
