"""A server that a test leads by hand: it shows what a proxy sends, and answers in pieces."""

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

FIRST, SECOND = b"event: one\n\n", b"event: two\n\n"


class Upstream(socketserver.ThreadingTCPServer):
    """Answers `/headers`, `/stream` and requests for another protocol."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port: int = self.server_address[1]
        self.go_on = threading.Event()
        """Set when the first piece has arrived: the second one is sent then."""


class Handler(socketserver.StreamRequestHandler):
    server: Upstream

    def handle(self) -> None:
        path = self.rfile.readline().decode("ascii").split()[1]
        headers: dict[str, str] = {}
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("upgrade") == "websocket":
            self._answer("101 Switching Protocols", "Upgrade: websocket\r\nConnection: Upgrade")
            while piece := self.request.recv(1024):
                self.request.sendall(piece.upper())
        elif path == "/stream":
            kind = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"
            self._answer("200 OK", f"{kind}\r\nConnection: close")
            self._chunk(FIRST)
            if self.server.go_on.wait(30):
                self._chunk(SECOND)
            self._chunk(b"")
        else:
            body = json.dumps(headers)
            self._answer("200 OK", f"Content-Length: {len(body)}\r\nConnection: close")
            self.request.sendall(body.encode())

    def _answer(self, status: str, headers: str) -> None:
        self.request.sendall(f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode())

    def _chunk(self, content: bytes) -> None:
        self.request.sendall(b"%x\r\n%s\r\n" % (len(content), content))


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Serve until the end of the block."""
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join(30)


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    """Return what has come when it has `wanted` in it."""
    found = b""
    while wanted not in found:
        piece = connection.recv(4096)
        assert piece, found
        found += piece
    return found
