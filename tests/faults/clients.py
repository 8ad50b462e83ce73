"""People who send until they are told 202, and what must be true of their messages then."""

import http.client
import json
import threading
import time
import uuid

from tests.checker import check_history
from tests.faults.running import CHAT, Running, until

CLIENTS = 8


class Client(threading.Thread):
    """Sends one message after another, each with an id of its own and until it is accepted."""

    def __init__(self, running: Running, sender: str, token: str) -> None:
        super().__init__()
        self.sender = sender
        self.acknowledged: list[str] = []
        self.refused = 0
        self.longest = 0.0
        self.wrong: list[str] = []
        self._running = running
        self._token = token
        self._ending = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        while not self._ending.is_set():
            own = str(uuid.uuid4())
            while not self._accepted(own):
                if self._ending.is_set():
                    return
                time.sleep(0.01)  # as a client waits before it tries again
            self.acknowledged.append(own)

    def stop(self) -> None:
        self._ending.set()
        self.join(30)
        assert not self.is_alive()
        if self._connection is not None:
            self._connection.close()

    def _accepted(self, own: str) -> bool:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._running.port, timeout=10
            )
        body = json.dumps({"chat_id": CHAT, "content": f"{self.sender} {own}", "message_id": own})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        started = time.monotonic()
        try:
            self._connection.request("POST", "/v1/messages", body, headers)
            answer = self._connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return False
        self.longest = max(self.longest, time.monotonic() - started)
        if answer.status == 503:
            self.refused += 1
            if "Retry-After" not in answer.headers or json.loads(said).get("message_id") != own:
                self.wrong.append(f"{answer.headers} {said!r}")
        elif answer.status != 202:
            self.wrong.append(f"{answer.status} {said!r}")
        return answer.status == 202 and json.loads(said)["message_id"] == own


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
        Client(running, name, running.token(name, "test" if n < 2 else "long enough"))
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


def check(running: Running, clients: list[Client]) -> None:
    tokens = [running.token(name) for name in ("bruno", "ana")]
    until(lambda: len(running.history(tokens[0])) >= acknowledged(clients))
    check_history(
        {client.sender: client.acknowledged for client in clients},
        [running.history(token) for token in (*tokens, tokens[0])],
    )
    assert [client.wrong for client in clients] == [[] for _ in clients]
