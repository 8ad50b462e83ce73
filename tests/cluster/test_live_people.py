"""Sockets on two gateways of a cluster: who is online, markers, who joins, the generation."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.cluster.services import Service
from tests.cluster.site import Site, new_names
from tests.cluster.test_services import People
from tests.faults.running import call

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]

HEARD_SECONDS = 20.0


class Device:
    """A connection that has resumed."""

    def __init__(self, gateway: Service, token: str, stack: ExitStack) -> None:
        url = gateway.url.replace("http", "ws") + "/v1/live"
        headers = {"Authorization": f"Bearer {token}"}
        self._socket: ClientConnection = stack.enter_context(
            connect(url, additional_headers=headers, proxy=None)
        )
        self.generation = self.hears(lambda frame: frame["type"] == "hello")["generation"]
        self.say(type="resume")
        self.hears(lambda frame: frame["type"] == "resumed")

    def say(self, **frame: Any) -> None:
        self._socket.send(json.dumps(frame))

    def hears(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next frame of which that is true."""
        deadline = time.monotonic() + HEARD_SECONDS
        while True:
            frame: dict[str, Any] = json.loads(
                self._socket.recv(timeout=deadline - time.monotonic())
            )
            if what(frame):
                return frame

    def leave(self) -> None:
        self._socket.close()


def test_people_on_two_gateways_know_of_each_other(site: Site) -> None:
    people = People(site.gateways, new_names(3))
    ana, bruno, carla = people.tokens
    here, there = site.gateways
    with ExitStack() as stack:
        first = Device(here, people.tokens[ana], stack)
        first.say(type="watch", usernames=[bruno, carla, "nobody"])
        for _ in range(2):
            assert first.hears(lambda frame: frame["type"] == "presence")["status"] == "offline"
        second = Device(there, people.tokens[bruno], stack)
        online = first.hears(lambda frame: frame["type"] == "presence")
        assert online == {"type": "presence", "username": bruno, "status": "online"}
        assert first.generation == second.generation

        people.send(ana, here)
        second.hears(lambda frame: frame["type"] == "message")
        read = f"{here.url}/v1/conversations/{people.chat}/read"
        assert call("POST", read, {"seq": 1}, people.tokens[bruno])[0] == 202
        marker = second.hears(lambda frame: frame["type"] == "read" and frame["username"] == bruno)
        assert marker["seq"] == 1

        group = {"type": "group", "title": "New", "members": []}
        made = call("POST", f"{here.url}/v1/conversations", group, people.tokens[ana])[1]
        members = f"{here.url}/v1/conversations/{made['conversation_id']}/members"
        assert call("POST", members, {"username": bruno}, people.tokens[ana])[0] == 201
        added = second.hears(lambda frame: frame.get("event") == "added")
        assert added["conversation_id"] == made["conversation_id"]
        third = Device(here, people.tokens[bruno], stack)
        second.leave()
        third.say(type="watch", usernames=[bruno, ana])
        for _ in range(2):
            assert third.hears(lambda frame: frame["type"] == "presence")["status"] == "online"
