"""A server in a thread that answers what a test wants, and a sign-in at it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from chat4all.terminal.accounts import Account
from chat4all.terminal.signing_in import Kept

Answer: TypeAlias = tuple[int, Any] | None
"""Status and body; None: the connection is closed without an answer."""


class Scripted:
    """What was asked, and what is answered: by the function of a method and path."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str, Any, str]] = []
        """Method, path, body and `Authorization` of each request."""
        self.answers: dict[str, Callable[[Any], Answer]] = {}

    def bodies(self, what: str) -> list[Any]:
        """Return the bodies of all requests of a method and path."""
        return [body for method, path, body, _ in self.asked if f"{method} {path}" == what]

    def sign_in(
        self, username: str = "ana", *, ends_in: float = 1000.0, number: int = 0
    ) -> Account:
        """Keep tokens of a session."""
        account = Account(self.url, username, "file")
        account.save()
        kept = Kept(f"access-{number}", f"refresh-{number}", time.time() + ends_in)
        account.vault.write(kept.encoded())
        return account


@contextmanager
def serving() -> Iterator[Scripted]:
    scripted = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            path = self.path.partition("?")[0]
            body = json.loads(raw) if raw.startswith("{") else raw
            authorization = self.headers.get("Authorization") or ""
            scripted.asked.append((self.command, path, body, authorization))
            answer = scripted.answers[f"{self.command} {path}"](body)
            self.close_connection = True
            if answer is None:
                return
            content = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            if answer[0] == 503:
                self.send_header("Retry-After", "60")
            self.end_headers()
            self.wfile.write(content)

        do_DELETE = do_GET = do_POST = do  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("", 0), Handler)
    scripted.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
