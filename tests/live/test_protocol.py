"""The cases of the Autobahn test suite, group by group: what a peer may send, and what it may not.

Each test has the number of the suite's group. Messages are ours: text, of at most 64 KiB.
"""

import struct
from unittest.mock import patch

import pytest

from chat4all.gateway.live.framing import text_frame
from chat4all.wire.frames import FRAME_MAX
from tests.live.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, Got, close, frame, text
from tests.live.memory import Connection, live_sockets

pytestmark = pytest.mark.anyio

GREETING = "Hello-µ@ßöäüàá-UTF-8!!"


@pytest.fixture
async def connection() -> Connection:
    live, _ = live_sockets()
    return Connection(live)


CHOPS = [0, 1, 997]


# 1: framing


@pytest.mark.parametrize("chop", CHOPS)
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536])
async def test_1_1_text_of_any_size(connection: Connection, size: int, chop: int) -> None:
    connection.send(text("*" * size), text("next"), chop=chop)
    assert connection.client.messages == [b"*" * size, b"next"]
    assert connection.got() == []
    assert connection.socket.is_open


@pytest.mark.parametrize("size", [0, 125, 126, 65_535])
async def test_1_2_binary_is_not_understood(connection: Connection, size: int) -> None:
    connection.send(frame(BINARY, b"\xfe" * size), text("late"))
    assert connection.closed_with() == 4400
    assert connection.client.messages == []


async def test_a_frame_that_is_not_masked(connection: Connection) -> None:
    connection.send(frame(TEXT, b"x", mask=False))
    assert connection.closed_with() == 1002


# 2: pings and pongs


@pytest.mark.parametrize("chop", CHOPS)
@pytest.mark.parametrize("payload", [b"", b"Hello", bytes(range(256))[:125], b"\xfe" * 125])
async def test_2_1_to_2_6_a_ping_is_answered(
    connection: Connection, payload: bytes, chop: int
) -> None:
    connection.send(frame(PING, payload), chop=chop)
    assert connection.got() == [Got(PONG, payload)]


async def test_2_5_a_ping_that_is_too_long(connection: Connection) -> None:
    connection.send(frame(PING, b"\xfe" * 126))
    assert connection.closed_with() == 1002


@pytest.mark.parametrize("payload", [b"", b"unsolicited"])
async def test_2_7_to_2_9_a_pong_is_ignored(connection: Connection, payload: bytes) -> None:
    connection.send(frame(PONG, payload))
    assert connection.got() == []
    connection.send(frame(PONG, payload), frame(PING, b"now"))
    assert connection.got() == [Got(PONG, b"now")]


@pytest.mark.parametrize("chop", CHOPS)
async def test_2_10_and_2_11_many_pings(connection: Connection, chop: int) -> None:
    payloads = [b"payload-%d" % n for n in range(10)]
    connection.send(*[frame(PING, payload) for payload in payloads], chop=chop)
    assert connection.got() == [Got(PONG, payload) for payload in payloads]


# 3: reserved bits


@pytest.mark.parametrize("reserved", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, PING, CLOSE])
async def test_3_reserved_bits(connection: Connection, reserved: int, opcode: int) -> None:
    connection.send(text("before"), frame(opcode, reserved=reserved), frame(PING))
    assert connection.closed_with() == 1002
    assert connection.client.messages == [b"before"]


# 4: opcodes


@pytest.mark.parametrize("payload", [b"", b"reserved opcode payload"])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
async def test_4_reserved_opcodes(connection: Connection, opcode: int, payload: bytes) -> None:
    connection.send(text("before"), frame(opcode, payload), frame(PING))
    assert connection.closed_with() == 1002
    assert connection.client.messages == [b"before"]


# 5: fragmentation


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_5_1_and_5_2_a_control_frame_in_pieces(connection: Connection, opcode: int) -> None:
    connection.send(frame(opcode, b"fragment1", fin=False), frame(CONT, b"fragment2"))
    assert connection.closed_with() == 1002


@pytest.mark.parametrize("chop", CHOPS)
async def test_5_3_to_5_5_text_in_pieces(connection: Connection, chop: int) -> None:
    connection.send(text("fragment1", fin=False), frame(CONT, b"fragment2"), chop=chop)
    assert connection.client.messages == [b"fragment1fragment2"]


@pytest.mark.parametrize("chop", CHOPS)
async def test_5_6_to_5_8_a_ping_in_between(connection: Connection, chop: int) -> None:
    pieces = [text("fragment1", fin=False), frame(PING, b"ping"), frame(CONT, b"fragment2")]
    connection.send(*pieces, chop=chop)
    assert connection.client.messages == [b"fragment1fragment2"]
    assert connection.got() == [Got(PONG, b"ping")]


@pytest.mark.parametrize("chop", CHOPS)
async def test_5_6_to_5_8_the_ping_is_answered_before_the_message(
    connection: Connection, chop: int
) -> None:
    client, socket = connection.client, connection.socket
    with patch.object(client, "received", lambda message: socket.write(text_frame(message))):
        pieces = [text("fragment1", fin=False), frame(PING, b"ping"), frame(CONT, b"fragment2")]
        connection.send(*pieces, chop=chop)
    assert connection.got() == [Got(PONG, b"ping"), Got(TEXT, b"fragment1fragment2")]


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("chop", CHOPS)
async def test_5_9_to_5_14_a_continuation_of_nothing(
    connection: Connection, fin: bool, chop: int
) -> None:
    connection.send(frame(CONT, b"non-continuation", fin=fin), text("Hello"), chop=chop)
    assert connection.closed_with() == 1002
    assert connection.client.messages == []


@pytest.mark.parametrize("fin", [True, False])
async def test_5_15_to_5_17_a_continuation_after_the_end(connection: Connection, fin: bool) -> None:
    whole = [text("fragment1", fin=False), frame(CONT, b"fragment2")]
    connection.send(*whole, frame(CONT, b"fragment3", fin=fin), text("fragment4"))
    assert connection.client.messages == [b"fragment1fragment2"]
    assert connection.closed_with() == 1002


async def test_5_18_another_text_within_a_text(connection: Connection) -> None:
    connection.send(text("fragment1", fin=False), text("fragment2"))
    assert connection.closed_with() == 1002
    assert connection.client.messages == []


@pytest.mark.parametrize("chop", CHOPS)
async def test_5_19_and_5_20_pings_in_between_are_answered_at_once(
    connection: Connection, chop: int
) -> None:
    connection.send(text("1", fin=False), frame(CONT, b"2", fin=False), chop=chop)
    connection.send(frame(PING, b"first"), chop=chop)
    assert connection.got() == [Got(PONG, b"first")]
    connection.send(frame(CONT, b"3", fin=False), frame(PING, b"second"), chop=chop)
    assert connection.got() == [Got(PONG, b"second")]
    connection.send(frame(CONT, b"4", fin=False), frame(CONT, b"5"), chop=chop)
    assert connection.client.messages == [b"12345"]


async def test_pieces_without_content_cost_nothing(connection: Connection) -> None:
    connection.send(text("", fin=False), *[frame(CONT, fin=False)] * 100, frame(CONT, b"x"))
    assert connection.client.messages == [b"x"]


# 6: UTF-8


@pytest.mark.parametrize("chop", CHOPS)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_6_1_and_6_2_text_cut_anywhere(connection: Connection, size: int, chop: int) -> None:
    content = f"{GREETING} κόσμε 🜨".encode()
    pieces = [content[n : n + size] for n in range(0, len(content), size)]
    frames = [text(pieces[0], fin=False), *[frame(CONT, p, fin=False) for p in pieces[1:]]]
    connection.send(*frames, frame(CONT), chop=chop)
    connection.send(text("", fin=False), frame(CONT, fin=False), frame(CONT))
    assert connection.client.messages == [content, b""]


VALID = [
    "",
    "κόσμε",
    *map(chr, (0x00, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF)),
    *map(chr, (0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFDD0, 0x1FFFE, 0x10FFFE)),
]


@pytest.mark.parametrize("content", VALID, ids=ascii)
async def test_6_5_to_6_23_what_is_utf8(connection: Connection, content: str) -> None:
    connection.send(text(content), text(content, fin=False), frame(CONT))
    assert connection.client.messages == [content.encode()] * 2
    assert connection.socket.is_open


INVALID = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
    *(b"\x80", b"\xbf", b"\x80\xbf\x80", bytes(range(0x80, 0xC0))),
    *(b"\xc0 \xc1 \xdf ", b"\xe0 \xef ", b"\xf0 \xf7 ", b"\xf8 \xfb ", b"\xfc \xfd "),
    *(b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf"),
    *(b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"),
    *(b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf"),
    *(b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80", b"\xe0\x80\x80"),
    *(b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80"),
    *(b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
]


@pytest.mark.parametrize("content", INVALID, ids=bytes.hex)
async def test_6_3_to_6_23_what_is_not(content: bytes) -> None:
    live, _ = live_sockets()
    cut = len(content) // 2
    in_pieces = [text(content[:cut], fin=False), frame(CONT, content[cut:])]
    for frames in ([text(b"good" + content)], in_pieces):
        connection = Connection(live)
        client = connection.client
        connection.send(*frames)
        assert connection.closed_with() == 1007
        assert client.messages == []


async def test_6_4_it_fails_with_the_piece_that_is_wrong(connection: Connection) -> None:
    connection.send(text(b"\xce\xba\xe1\xbd\xb9", fin=False))
    assert connection.socket.is_open
    connection.send(frame(CONT, b"\xf4\x90\x80\x80", fin=False))
    assert connection.closed_with() == 1007


# 7: closes


async def test_7_1_1_a_message_and_a_close_together(connection: Connection) -> None:
    client = connection.client
    connection.send(text("Hello World!"), close(1000))
    assert client.messages == [b"Hello World!"]
    assert connection.got() == [Got(CLOSE, struct.pack("!H", 1000))]
    assert connection.transport.is_lost()
    assert client.closes == 1


@pytest.mark.parametrize("more", [close(1000), frame(PING), text("late"), b"garbage \xff"])
async def test_7_1_2_to_7_1_4_nothing_counts_after_a_close(
    connection: Connection, more: bytes
) -> None:
    client = connection.client
    connection.send(close(1000), more)
    connection.send(more)
    assert connection.closed_with() == 1000
    assert (client.messages, client.closes) == ([], 1)


async def test_7_1_5_a_close_within_a_message(connection: Connection) -> None:
    client = connection.client
    connection.send(text("fragment1", fin=False), close(1000), frame(CONT, b"fragment2"))
    assert connection.closed_with() == 1002
    assert client.messages == []


async def test_7_3_1_a_close_without_a_code(connection: Connection) -> None:
    connection.send(close())
    assert connection.got() == [Got(CLOSE, b"")]
    assert connection.transport.is_lost()


@pytest.mark.parametrize("payload", [b"a", struct.pack("!H", 1000) + b"*" * 124])
async def test_7_3_2_and_7_3_6_sizes_that_no_close_has(
    connection: Connection, payload: bytes
) -> None:
    connection.send(frame(CLOSE, payload))
    assert connection.closed_with() == 1002


@pytest.mark.parametrize("reason", [b"", b"Hello World!", b"*" * 123, GREETING.encode()])
async def test_7_3_3_to_7_3_5_a_reason_is_returned(connection: Connection, reason: bytes) -> None:
    connection.send(close(1000, reason))
    assert connection.got() == [Got(CLOSE, struct.pack("!H", 1000) + reason)]


async def test_7_5_1_a_reason_that_is_not_utf8(connection: Connection) -> None:
    connection.send(close(1000, b"\xce\xba\xed\xa0\x80"))
    assert connection.closed_with() == 1007


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
async def test_7_7_codes_that_are_sent(connection: Connection, code: int) -> None:
    connection.send(close(code))
    assert connection.closed_with() == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535])
async def test_7_9_and_7_13_codes_that_are_not(connection: Connection, code: int) -> None:
    connection.send(close(code))
    assert connection.closed_with() == 1002


async def test_the_server_closes_and_the_client_answers(connection: Connection) -> None:
    client = connection.client
    connection.socket.close(4401, "the token has expired")
    assert not connection.socket.is_open
    connection.socket.close(1011, "a second time")
    connection.socket.write(b"\x81\x04late")
    connection.send(text("late"), frame(PING, b"late"))
    assert connection.got() == [Got(CLOSE, struct.pack("!H", 4401) + b"the token has expired")]
    assert not connection.transport.is_lost()
    connection.send(close(4401))
    assert connection.transport.is_lost()
    assert (client.messages, client.closes) == ([], 1)


async def test_a_reason_of_ours_is_cut_between_letters(connection: Connection) -> None:
    connection.socket.close(4400, "é" * 100)
    (got,) = connection.got()
    assert got.payload[2:].decode() == "é" * 61


# 9 and 10: limits


@pytest.mark.parametrize("pieces", [1, 2, 51, 256])
async def test_9_the_largest_message(connection: Connection, pieces: int) -> None:
    size = FRAME_MAX // pieces
    parts = [b"*" * size] * pieces + [b"*" * (FRAME_MAX - size * pieces)]
    frames = [frame(TEXT if n == 0 else CONT, p, fin=False) for n, p in enumerate(parts)]
    # A control frame within it does not count.
    connection.send(*frames, frame(PING, b"!" * 125), frame(CONT))
    assert connection.client.messages == [b"*" * FRAME_MAX]
    assert connection.got() == [Got(PONG, b"!" * 125)]


@pytest.mark.parametrize("pieces", [1, 2, 256])
async def test_9_one_byte_more(connection: Connection, pieces: int) -> None:
    size = (FRAME_MAX + 1) // pieces
    parts = [b"*" * size] * pieces + [b"*" * (FRAME_MAX + 1 - size * pieces)]
    frames = [frame(TEXT if n == 0 else CONT, p, fin=False) for n, p in enumerate(parts)]
    connection.send(*frames)
    assert connection.closed_with() == 1009
    assert connection.client.messages == []


@pytest.mark.parametrize("size", [65_537 + 125, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
async def test_9_a_size_that_is_only_announced(connection: Connection, size: int) -> None:
    connection.send(bytes([0x81, 0xFF]) + struct.pack("!Q", size))
    assert connection.closed_with() == 1009
