"""SIGKILL and SIGTERM under load, on the real process and the real disk."""

import http.client
import json
import signal
import threading
import time
import uuid
from pathlib import Path

import pytest

from tests.checker import check_history
from tests.faults.running import CHAT, Running, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CLIENTS = 8


class Client(threading.Thread):
    """Sends one message after another, each with an id of its own and until it is accepted."""

    def __init__(self, running: Running, sender: str, token: str) -> None:
        super().__init__()
        self.sender = sender
        self.acknowledged: list[str] = []
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
        try:
            self._connection.request("POST", "/v1/messages", body, headers)
            answer = self._connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return False
        if answer.status not in (202, 503):
            self.wrong.append(f"{answer.status} {said!r}")
        return answer.status == 202 and json.loads(said)["message_id"] == own


def _clients(running: Running) -> list[Client]:
    """Eight people in one chat, each with one connection."""
    senders = ["bruno", "ana"]
    bruno = running.token("bruno")
    for n in range(CLIENTS - len(senders)):
        name = f"client{n}"
        user = {"username": name, "email": f"{name}@example.com", "password": "long enough"}
        assert _post(running, "/v1/users", user) == 201
        members = f"/v1/conversations/{CHAT}/members"
        assert _post(running, members, {"username": name}, bruno) == 201
        senders.append(name)
    return [
        Client(running, name, running.token(name, "test" if n < 2 else "long enough"))
        for n, name in enumerate(senders)
    ]


def _post(running: Running, path: str, body: object, token: str = "") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection.request("POST", path, json.dumps(body), headers)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def _acknowledged(clients: list[Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


def _check(running: Running, clients: list[Client]) -> None:
    tokens = [running.token(name) for name in ("bruno", "ana")]
    until(lambda: len(running.history(tokens[0])) >= _acknowledged(clients))
    check_history(
        {client.sender: client.acknowledged for client in clients},
        [running.history(token) for token in (*tokens, tokens[0])],
    )
    assert [client.wrong for client in clients] == [[] for _ in clients]


def test_nothing_is_lost_doubled_or_moved_by_20_kills(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    clients = _clients(running)
    for client in clients:
        client.start()
    try:
        for _ in range(20):
            before = _acknowledged(clients)
            # A different amount of work each time, so that the kill meets another moment of it.
            until(lambda n=before + 50: _acknowledged(clients) >= n)  # type: ignore[misc]
            running.kill()
            running.start()
        before = _acknowledged(clients)
        until(lambda: _acknowledged(clients) > before)
    finally:
        for client in clients:
            client.stop()
    try:
        _check(running, clients)
        assert _acknowledged(clients) >= 20 * 50
    finally:
        running.kill()


def test_sigterm_under_load_loses_nothing_and_ends_in_time(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    clients = _clients(running)
    for client in clients:
        client.start()
    try:
        until(lambda: _acknowledged(clients) >= 500)
        assert running.process is not None
        running.signal(signal.SIGTERM)
        started = time.monotonic()
        assert running.process.wait(30) == 0
        assert time.monotonic() - started < 5
        assert '"stopped"' in running.log()
        assert '"ERROR"' not in running.log()
    finally:
        for client in clients:
            client.stop()
    running.start()
    try:
        _check(running, clients)
    finally:
        running.kill()


def test_the_checker_sees_what_it_is_for() -> None:
    def message(seq: int, sender: str = "ana") -> dict[str, object]:
        return {"seq": seq, "message_id": f"{sender}{seq}", "sender_id": sender}

    good = [message(1), message(2), message(3, "bruno")]
    acknowledged = {"ana": ["ana1", "ana2"], "bruno": ["bruno3"]}
    check_history(acknowledged, [good, good])
    for readings, sent in [
        ([good, good[:2]], acknowledged),
        ([[*good, message(5)]], acknowledged),
        ([good], {"ana": ["ana1", "ana2", "lost"]}),
        ([good], {"ana": ["ana2", "ana1"]}),
        ([[*good, good[0] | {"seq": 4}]], acknowledged),
    ]:
        with pytest.raises(AssertionError):
            check_history(sent, readings)
