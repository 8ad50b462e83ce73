"""A long run of large messages, to sockets whose clients take all that they are sent."""

from dataclasses import replace

import msgspec
import pytest

from chat4all.domain.events import MessageStored
from chat4all.domain.ids import ConversationId
from chat4all.domain.position import Position
from chat4all.gateway.live.runs import PIECE_MAX, Entry, Messages
from tests.api.conftest import CHAT, Api
from tests.live.sockets import FakeSocket, resumed, until
from tests.messages import batch, message

pytestmark = pytest.mark.anyio


def test_a_piece_is_bounded_and_a_large_frame_is_one_of_its_own() -> None:
    views = [msgspec.Raw(b'"%s"' % (b"x" * size)) for size in (40_000, 20_000, 10_000, 100_000, 1)]
    run = Messages(5, [Entry(5 + number, view) for number, view in enumerate(views)])
    ends, position = [], Position(4, 2)
    while run.follows(position):
        frames, at = run.piece_above(position, lambda payload, _: payload)
        assert len(frames) <= PIECE_MAX or at == (position.seq + 1, 2)
        position = at
        ends.append(position.seq)
    assert ends == [6, 7, 8, 9]


async def test_a_burst_is_written_in_pieces_and_who_has_no_room_has_it_later(api: Api) -> None:
    slow = await resumed(api.parts.live, await api.sign_in("ana"))
    quick = await resumed(api.parts.live, await api.sign_in("bruno"))
    chat, has_room = ConversationId(CHAT), False
    slow.__class__ = type("Slow", (FakeSocket,), {"has_room": property(lambda _: has_room)})
    rows = [replace(message(seq, chat, "ana"), content="x" * 30_000) for seq in range(1, 31)]
    await api.parts.store.write(batch(*rows))
    api.parts.live.hub.announced(CHAT, lambda: [MessageStored(row) for row in rows])
    before = quick.writes
    await quick.heard("message", 30)
    assert quick.writes - before == 15
    assert slow.seqs() == []
    await until(lambda: len(api.parts.live.hub._work) == 0)
    has_room = True
    await api.parts.live.hub.compare()
    await slow.heard("message", 30)
    assert slow.seqs() == quick.seqs() == list(range(1, 31))
    assert slow.is_open


async def test_a_replay_is_written_in_pieces(api: Api) -> None:
    chat = ConversationId(CHAT)
    rows = [replace(message(seq, chat, "ana"), content="x" * 30_000) for seq in range(1, 31)]
    await api.parts.store.write(batch(*rows))
    socket = await resumed(api.parts.live, await api.sign_in("ana"), **{CHAT: "0.0"})
    assert socket.seqs() == list(range(1, 31))
    assert socket.writes == 1 + 15 + 1  # with `hello` and `resumed`
