"""An earlier release's data folder, with all its data, opened by this release.

`tests/earlier/` has its three files as SQL: two people who talk, a group with a member who was
erased, a marker, a dead letter, and a record that was accepted and not routed yet.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chat4all.adapters.embedded import inspecting
from chat4all.domain.ids import LogPosition
from tests.api.conftest import running

pytestmark = pytest.mark.anyio

EARLIER = Path(__file__).parents[1] / "earlier"


def put_down(folder: Path) -> None:
    """Create the data folder as the earlier release left it."""
    folder.mkdir(mode=0o700)
    for name in ("log", "store", "metadata"):
        with closing(sqlite3.connect(folder / f"{name}.db")) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript((EARLIER / f"{name}.sql").read_text())


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.thorough
async def test_nothing_is_lost_and_everything_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    put_down(folder)
    assert version(folder / "log.db") < inspecting.NEWEST["log.db"]
    for start in range(2):
        async with running(folder) as api:
            await api.routed()
            bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
            history = await api.history(ana)
            assert [(m["seq"], m["content"], m["status"]) for m in history][:4] == [
                (1, "before 0 🎉", "READ"),
                (2, "before 1 🎉", "READ"),
                (3, "before 2 🎉", "DELIVERED"),
                (4, "accepted, not stored", "DELIVERED"),
            ]
            assert {(m["kind"], m["reply_to"], *m["mentions"]) for m in history[:4]} == {
                ("text", None)
            }
            listed = (await api.gateway.get("/v1/conversations", headers=ana)).json()
            group = next(one for one in listed if one["title"] == "Equipe")
            assert group["metadata"] == {"a": "b"}
            assert group["last_message"]["content"] == "from carla"
            (said,) = await api.history(bruno, chat=group["conversation_id"])
            assert said["sender_id"].startswith("deleted-")
            (letter,) = await api.parts.store.all(10)
            assert (letter.log_position, letter.cause) == (LogPosition(0, 0, 6), "unknown type")
            answers = {"reply_to": history[0]["message_id"], "mentions": ["ana"]}
            sent = await api.send(bruno, f"after {start}", **answers)
            await api.routed()
            newest = (await api.history(ana))[-1]
            assert newest["reply_to"]["content"] == "before 0 🎉"
            assert (newest["seq"], newest["message_id"]) == (5 + start, sent)
    assert {name: version(folder / name) for name in inspecting.NEWEST} == inspecting.NEWEST
