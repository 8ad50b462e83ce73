"""Attacks that run until they are killed: `python -m tests.input.attacks NAME PORT TOKEN`."""

import itertools
import os
import resource
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator

from chat4all.http.server.limits import AHEAD_MAX, CONNECTIONS_MAX
from tests.input.wire import Wire, request

SEND = "/v1/messages"

PAUSE = 0.08
"""Seconds between two requests of a thread. It is what they are that attacks, not how many they
are: against a flood there are limits by user and by address. Of two threads, so seldom that one
request in a hundred of somebody else's waits for one of them, and not for two."""

MEGABYTE = b" " * 1_000_000


def ready() -> None:
    """Say that the attack is what it is going to be."""
    os.write(1, b"ready\n")


def one_after_another(port: int, requests: Iterator[Iterator[bytes] | bytes]) -> None:
    """Make each request on a connection of its own and take what comes back."""
    ready()
    for data in requests:
        with Wire(port) as wire:
            wire.send(data)
            wire.answer()
        time.sleep(PAUSE)


def bodies(port: int, token: str) -> None:
    """Send bodies of 100 MB, with a length and in chunks, to routes of both kinds."""

    def body(path: str, chunked: bool) -> Iterator[bytes]:
        how = "Transfer-Encoding: chunked" if chunked else "Content-Length: 100000000"
        yield request(path, token=token, length=False, more=[how])
        for _ in range(100):
            yield b"%x\r\n" % len(MEGABYTE) + MEGABYTE + b"\r\n" if chunked else MEGABYTE

    routes = itertools.cycle(itertools.product((SEND, "/v1/conversations"), (True, False)))
    one_after_another(port, (body(path, chunked) for path, chunked in routes))


def json_bombs(port: int, token: str) -> None:
    """Send what is deep, long or packed."""
    deep = [b"[" * 60_000, b"[" * 30_000 + b"]" * 30_000, b'{"a":' * 12_000, b"9" * 60_000]
    routes = itertools.product((SEND, "/v1/conversations", "/v1/users"), deep)
    plain = [request(path, body, token=token) for path, body in routes]
    packed = request(SEND, b"\x1f\x8b" * 9_000, token=token, more=["Content-Encoding: gzip"])
    one_after_another(port, itertools.cycle([*plain, packed]))


def encodings(port: int, token: str) -> None:
    """Send what is not text in UTF-8, and values of the wrong types."""
    wrong = [
        b'{"chat_id": "\\ud800", "content": "x"}',
        '{"chat_id": "x", "content": "y"}'.encode("utf-16"),
        b"\x00" * 30_000,
        b"\xff" * 60_000,
        b'{"chat_id": [' + b'{"content": 1}, ' * 3_000 + b"null]}",
    ]
    routes = itertools.product((SEND, "/v1/conversations", "/v1/users"), wrong)
    one_after_another(
        port, itertools.cycle([request(path, body, token=token) for path, body in routes])
    )


def heads(port: int, token: str) -> None:
    """Send heads that are too large, and what is no HTTP."""
    large = b"GET /health HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(100_000))
    both = request(SEND, b"x", more=["Transfer-Encoding: chunked"])
    one_after_another(
        port, itertools.cycle([large, both, b"GET /" + b"x" * 1_000_000, b"no\r\n\r\n"])
    )


def slow(port: int, token: str) -> None:
    """Hold 300 connections whose heads and bodies never end, a byte a second each."""
    starts = [
        (b"GET /health HTTP/1.1\r\nA: ", b"x"),
        (request(SEND, token=token, length=False, more=["Content-Length: 99"]), b" "),
        (b"", b"\r\n"),
    ]
    held: list[tuple[Wire, bytes]] = []
    while True:
        while len(held) < 300:
            first, drop = starts[len(held) % len(starts)]
            wire = Wire(port)
            wire.send(first)
            held.append((wire, drop))
        ready()
        ended, _, _ = select.select([wire.socket for wire, _ in held], [], [], 1.0)
        for wire, drop in held:
            if wire.socket in ended:
                wire.socket.close()
            else:
                wire.send(drop)
        held = [(wire, drop) for wire, drop in held if wire.socket not in ended]


def idle(port: int, token: str) -> None:
    """Hold more silent connections than there may be; open new ones for those that are closed."""
    held: dict[int, Wire] = {}
    watched = select.poll()
    while True:
        while len(held) < CONNECTIONS_MAX + 50:
            wire = Wire(port)
            held[wire.socket.fileno()] = wire
            watched.register(wire.socket, select.POLLIN)
        ready()
        for number, _ in watched.poll(1_000):
            watched.unregister(number)
            held.pop(number).socket.close()
            time.sleep(PAUSE)


def pipelined(port: int, token: str) -> None:
    """Ask far ahead, and go away without reading."""
    many = request("/health", method="GET", content_type=None, length=False) * 2_000
    ready()
    while True:
        with Wire(port) as wire:
            wire.send(many)
            wire.answer("GET")
        time.sleep(AHEAD_MAX * PAUSE)  # so many of them were answered


ATTACKS: dict[str, Callable[[int, str], None]] = {
    attack.__name__: attack
    for attack in (bodies, json_bombs, encodings, heads, slow, idle, pipelined)
}


def main() -> None:
    """Attack with two threads and the least priority, until killed."""
    name, port, token = sys.argv[1:]
    # It is about what the product does with it, not about who gets this machine's processors.
    os.nice(19)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for _ in range(1 if name in ("slow", "idle") else 2):
        threading.Thread(target=ATTACKS[name], args=(int(port), token)).start()


if __name__ == "__main__":
    main()
