"""Clients that send until they get 202, and the checks of their messages."""

import http.client
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tests.checker import Sent, check_history
from tests.faults.running import CHAT, Running, call, until

CLIENTS = 8

DEADLINE = 8.0
"""Seconds for one answer, whatever the disk does: the log's five and some for a busy machine."""

DATABASES = ("log.db", "store.db", "metadata.db")


class Client(threading.Thread):
    """Sends one message after another to one port, each until it is accepted.

    The ids are its own, or else the gateway's, which a 503 tells it. `pause`: seconds between two
    messages.
    """

    def __init__(
        self,
        port: int,
        chat: str,
        sender: str,
        token: str,
        *,
        own_ids: bool = True,
        pause: float = 0.0,
    ) -> None:
        super().__init__()
        self.sender = sender
        self.port = port
        self.sent = Sent()
        self.refused = 0
        self.nameless = 0
        """Refusals that named no id: the gateway did not even read the body."""
        self.cut = 0
        """Requests whose connection ended before the answer."""
        self.waits = False
        """A request was sent, and neither its answer nor the connection's end has come."""
        self.longest = 0.0
        self.answered = time.monotonic()
        """When the last answer came."""
        self.wrong: list[str] = []
        self._chat = chat
        self._token = token
        self._own_ids = own_ids
        self._pause = pause
        self._ending = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    @property
    def acknowledged(self) -> list[str]:
        return self.sent.acknowledged

    def run(self) -> None:
        while not self._ending.is_set():
            body = {"chat_id": self._chat, "content": f"{self.sender} {uuid.uuid4()}"}
            if self._own_ids:
                body["message_id"] = str(uuid.uuid4())
            while not self._accepted(body):
                if self._ending.is_set():
                    return
                time.sleep(0.01)  # as a client waits before it tries again
            self.sent.is_accepted(body["content"], body["message_id"])
            if self._pause:
                time.sleep(self._pause)

    def stop(self) -> None:
        self._ending.set()
        self.join(30)
        assert not self.is_alive()
        if self._connection is not None:
            self._connection.close()

    def _accepted(self, body: dict[str, str]) -> bool:
        """Send once. An id that is answered is kept for the next try."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        started = time.monotonic()
        named = body.get("message_id")
        self.sent.sends(body["content"], named)
        try:
            self._connection.request("POST", "/v1/messages", json.dumps(body), headers)
            self.waits = True
            answer = self._connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self.cut += self.waits
            self._connection.close()
            self._connection = None
            return False
        finally:
            self.waits = False
        if named is None:
            self.sent.is_told(body["content"], said.get("message_id"))
        self.answered = time.monotonic()
        self.longest = max(self.longest, self.answered - started)
        if answer.status not in (202, 503):
            self.wrong.append(f"{answer.status} {said!r}")
            return False
        if answer.status == 503:
            self.refused += 1
            if (
                "Retry-After" not in answer.headers
                or answer.headers["Content-Type"] != "application/problem+json"
            ):
                self.wrong.append(f"{answer.headers} {said!r}")
        if "message_id" not in said:
            self.nameless += 1
        elif body.setdefault("message_id", said["message_id"]) != said["message_id"]:
            self.wrong.append(f"{body} was answered {said!r}")
            return False
        return answer.status == 202


def clients_of(running: Running) -> list[Client]:
    """Eight people in one chat, each with one connection."""
    senders = ["bruno", "ana"]
    bruno = running.token("bruno")
    for n in range(CLIENTS - len(senders)):
        name = f"client{n}"
        user = {"username": name, "email": f"{name}@example.com", "password": "long enough"}
        assert post(running, "/v1/users", user) == 201
        members = f"/v1/conversations/{CHAT}/members"
        assert post(running, members, {"username": name}, bruno) == 201
        senders.append(name)
    return [
        Client(running.port, CHAT, name, running.token(name, "test" if n < 2 else "long enough"))
        for n, name in enumerate(senders)
    ]


def post(running: Running, path: str, body: object, token: str = "") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection.request("POST", path, json.dumps(body), headers)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def acknowledged(clients: list[Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


def refused(clients: list[Client]) -> int:
    return sum(client.refused for client in clients)


def check(running: Running, clients: list[Client]) -> None:
    tokens = [running.token(name) for name in ("bruno", "ana")]
    until(lambda: len(running.history(tokens[0])) >= acknowledged(clients))
    check_history(
        CHAT,
        {client.sender: client.sent for client in clients},
        [running.history(token) for token in (*tokens, tokens[0])],
    )
    assert [client.wrong for client in clients] == [[] for _ in clients]
    assert [client.nameless for client in clients] == [0] * len(clients)


@contextmanager
def talking(running: Running) -> Iterator[list[Client]]:
    """Let eight clients send; afterwards every acknowledged message must be there."""
    try:
        clients = clients_of(running)
        for client in clients:
            client.start()
        try:
            token = running.token("bruno")
            # Stored, not only acknowledged: it is there to be read whatever fails from now on.
            until(lambda: len(running.history(token)) >= 100)
            yield clients
            before = acknowledged(clients)
            until(lambda: acknowledged(clients) >= before + 100, seconds=10)
            until(lambda: call("GET", f"{running.gateway}/health/ready")[0] == 200, seconds=10)
        finally:
            for client in clients:
                client.stop()
        check(running, clients)
        assert max(client.longest for client in clients) < DEADLINE
    finally:
        running.kill()
    for name in DATABASES:
        db = sqlite3.connect(running.folder / "data" / name)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()
