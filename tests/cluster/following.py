"""Devices that follow a chat over sockets, break their connections, and say what was wrong."""

import json
import random
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPException

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.cluster.services import Service
from tests.cluster.test_services import People
from tests.copies import Copy
from tests.faults.running import call, until

THUMB = "%F0%9F%91%8D"
LOOK_SECONDS = 0.1
LONGEST_SECONDS = 2.0
"""Between two breaks of a connection."""


class Device(threading.Thread):
    """Follows a chat through any gateway, and breaks its connection again and again."""

    def __init__(self, people: People, name: str, gateways: Sequence[Service], seed: int) -> None:
        super().__init__(daemon=True)
        self.name = name
        self.copy = Copy(people.chat)
        self._people = people
        self._gateways = gateways
        self._chance = random.Random(seed)
        self._stays = threading.Event()
        self._ends = threading.Event()

    def stay(self) -> None:
        """Break no connection any more."""
        self._stays.set()

    def end(self) -> None:
        self._ends.set()
        self.join(30)
        assert not self.is_alive()

    def run(self) -> None:
        while not self._ends.is_set():
            gateway = self._chance.choice(self._gateways)
            headers = {"Authorization": f"Bearer {self._people.tokens[self.name]}"}
            try:
                with connect(
                    gateway.live_url, additional_headers=headers, proxy=None
                ) as connection:
                    self._follow(connection)
            except (OSError, WebSocketException):
                self._ends.wait(self._chance.uniform(0.05, 0.3))  # as clients are told to

    def _follow(self, connection: ClientConnection) -> None:
        connection.send(self.copy.resume())
        breaks_at = time.monotonic() + self._chance.uniform(0.0, LONGEST_SECONDS)
        while not self._ends.is_set():
            if time.monotonic() >= breaks_at and not self._stays.is_set():
                with suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)
            try:
                frame = json.loads(connection.recv(timeout=LOOK_SECONDS))
            except TimeoutError:
                continue
            self.copy.take(frame)


class Writer(threading.Thread):
    """Sends messages and changes its own, each again and again until the outcome is known."""

    def __init__(
        self,
        people: People,
        name: str,
        gateway: Service,
        seed: int,
        pause: float = 0.02,
        *,
        catches_up: bool = False,
    ) -> None:
        """`catches_up`: whether what could not be sent in its time is sent without a pause."""
        super().__init__(daemon=True)
        self.name = name
        self._pause = pause
        self._catches_up = catches_up
        self.sent: list[tuple[float, str]] = []
        """When sending began, and the message's id."""
        self.changes = 0
        self.edits: dict[str, set[str]] = defaultdict(set)
        """By message what it was to say instead, accepted or not."""
        self._people = people
        self._gateway = gateway
        self._chance = random.Random(seed)
        self._ends = threading.Event()

    def end(self) -> None:
        self._ends.set()
        self.join(90)
        assert not self.is_alive()

    def run(self) -> None:
        due = time.monotonic()
        while True:
            due = (due if self._catches_up else time.monotonic()) + self._pause
            if self._ends.wait(max(0.0, due - time.monotonic())):
                return
            began = time.monotonic()
            self._people.send(self.name, self._gateway)
            (*_, message) = self._people.sent[self.name].acknowledged
            self.sent.append((began, message))
            if self._chance.random() < 0.6:
                self._change(self._chance.choice(self.sent[-10:])[1])

    def _change(self, message: str) -> None:
        path = f"/v1/conversations/{self._people.chat}/messages/{message}"
        edited = f"edited {self._chance.random()}"
        method, path, body = self._chance.choice(
            [
                ("PATCH", path, {"content": edited}),
                ("PUT", f"{path}/reactions/{THUMB}", None),
                ("DELETE", f"{path}/reactions/{THUMB}", None),
                ("DELETE", path, None),
            ]
        )
        if method == "PATCH":
            self.edits[message].add(edited)
        token = self._people.tokens[self.name]

        def is_done() -> bool:
            try:
                status, answer = call(method, self._gateway.url + path, body, token)
            except (OSError, HTTPException):  # killed, also in the middle of an answer
                return False
            assert status in {202, 404, 409, 503}, answer  # not stored yet, deleted
            self.changes += status == 202
            return status != 503

        until(is_done, seconds=60)
