"""The three services as processes on real Kafka, Cassandra and PostgreSQL."""

import signal
import threading
import uuid
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from engines import CassandraNode, KafkaBroker
from tests.checker import Sent, check_history
from tests.cluster.services import Cluster, Service, a_cluster, all_ready
from tests.databases import Databases
from tests.faults.running import call, until, whole_history

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240)]

PEOPLE = ("bruno", "ana", "carla", "davi")
PASSWORD = "long enough"


@pytest.fixture
def cluster(
    tmp_path: Path, kafka: KafkaBroker, cassandra: CassandraNode, databases: Databases
) -> Iterator[Cluster]:
    with a_cluster(tmp_path, kafka, cassandra, databases) as found:
        yield found


class People:
    """Some who share a chat, through gateways of their own."""

    def __init__(self, gateways: list[Service], names: Sequence[str] = PEOPLE) -> None:
        self.gateways = gateways
        self.tokens: dict[str, str] = {}
        for name in names:
            user = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
            status, body = call("POST", f"{gateways[0].url}/v1/users", user)
            assert status == 201, body
            form = {"username": name, "password": PASSWORD}
            status, body = call("POST", f"{gateways[0].url}/token", form=form)
            assert status == 200, body
            self.tokens[name] = body["access_token"]
        group = {"type": "group", "members": list(names[1:])}
        status, body = call(
            "POST", f"{gateways[0].url}/v1/conversations", group, self.tokens[names[0]]
        )
        assert status == 201, body
        self.chat = body["conversation_id"]
        self.sent = {name: Sent() for name in names}

    def send(self, name: str, gateway: Service) -> None:
        """Send one message, again and again until it is acknowledged."""
        message = str(uuid.uuid4())
        body = {"chat_id": self.chat, "content": f"{name} {message}", "message_id": message}
        self.sent[name].sends(body["content"], message)

        def accepted() -> bool:
            try:
                status, answer = call("POST", f"{gateway.url}/v1/messages", body, self.tokens[name])
            except (OSError, HTTPException):  # killed, also in the middle of an answer
                return False
            assert status in (202, 503), answer
            # A gateway that was just started knows nobody yet: it has not even read the body.
            assert answer.get("message_id", message) == message
            return status == 202

        until(accepted, seconds=60)
        self.sent[name].is_accepted(body["content"], message)

    def talk(self, times: int) -> list[threading.Thread]:
        """Let all talk at once, each through one gateway."""

        def say(number: int, name: str) -> None:
            for _ in range(times):
                self.send(name, self.gateways[number % len(self.gateways)])

        threads = [threading.Thread(target=say, args=item) for item in enumerate(self.sent)]
        for thread in threads:
            thread.start()
        return threads

    def history(self, name: str, gateway: Service) -> list[dict[str, Any]]:
        return whole_history(gateway.url, self.chat, self.tokens[name])

    def accepted(self) -> int:
        return sum(len(one.acknowledged) for one in self.sent.values())

    def check(self, readers: int = len(PEOPLE)) -> None:
        """Every acknowledged message once, in the same place for every reader and gateway."""
        count = self.accepted()
        names = list(self.tokens)[:readers]
        until(lambda: len(self.history(names[0], self.gateways[0])) >= count, seconds=60)
        check_history(
            self.chat,
            self.sent,
            [self.history(name, gateway) for name in names for gateway in self.gateways],
        )


def test_started_in_the_wrong_order_and_killed_under_load(cluster: Cluster) -> None:
    services = [cluster.service(what) for what in ("gateway", "gateway", "router", "router")]
    gateways, routers = services[:2], services[2:]
    services.append(cluster.service("metadata"))
    for service in services[:3]:
        service.start()
    until(lambda: "run `chat4all migrate`" in gateways[0].log.read_text(), seconds=60)
    cluster.migrate()
    cluster.migrate()
    for service in services[3:]:
        service.start()
    all_ready(services)

    people = People(gateways)
    threads = people.talk(40)
    for _ in range(2):
        for router in routers:
            before = people.accepted()
            until(lambda: people.accepted() >= before + 10)  # noqa: B023
            router.stop(signal.SIGKILL)
            router.start()
    gateways[1].stop(signal.SIGKILL)
    gateways[1].start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    all_ready(services)
    people.check()

    # A stranger learns nothing, and SIGTERM is an end like any other.
    status, _ = call("GET", f"{gateways[0].url}/v1/conversations/{people.chat}/messages")
    assert status == 401
    assert [service.stop() for service in services] == [0] * len(services)
