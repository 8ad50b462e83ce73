"""Edits, deletions and reactions over sockets, on the whole one-machine system."""

import pytest

from tests.api.changing import HEART, THUMB, delete, edit, react, sent
from tests.api.conftest import Api
from tests.live.sockets import resumed

pytestmark = pytest.mark.anyio


async def test_a_change_reaches_everybody_as_the_history_has_it(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    sockets = [await resumed(api.parts.live, who) for who in (ana, bruno, bruno)]
    message = await sent(api, ana, "first")
    for socket in sockets:
        await socket.heard("message")

    async def all_hear(count: int) -> None:
        for socket in sockets:
            frame = await socket.heard("message_changed", count)
            assert frame["position"] == f"1.{count}"
            assert [frame["message"]] == await api.history(bruno)

    await edit(api, ana, message, "second")
    await all_hear(1)
    await react(api, bruno, message, THUMB)
    await all_hear(2)
    await react(api, ana, message, HEART)
    await all_hear(3)
    await react(api, ana, message, HEART, "DELETE")
    await all_hear(4)
    await delete(api, ana, message)
    await all_hear(5)
    last = sockets[0].frames[-1]["message"]
    assert (last["content"], last["reactions"]) == ("", [])
    await sent(api, ana)
    for socket in sockets:
        assert (await socket.heard("message", 2))["position"] == "2.5"
        assert len(socket.of_type("message_changed")) == 5
