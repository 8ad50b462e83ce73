"""`docker-compose.yml`, unchanged: built, started, stopped, and an engine at another address.

The engines' images are stand-ins (`standins/`); the services' image is the one of the Dockerfile.
"""

import os
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from engines.packages import say
from tests.compose import SERVICES
from tests.faults.running import call, until
from tests.image.conftest import IMAGE, Machine
from tests.image.measuring import timed

pytestmark = [pytest.mark.slow, pytest.mark.image, pytest.mark.timeout(900)]

GATEWAY = "http://127.0.0.1:8000"
STAYING = [name for name, service in SERVICES.items() if "test" in service["healthcheck"]]
HEALTHY_SECONDS = 180
FOUND_AGAIN_SECONDS = 60


def up(machine: Machine) -> None:
    """Start all, and wait until every container that stays is healthy."""
    with timed("docker-compose up"):
        try:
            machine.docker.compose("up", "--detach")
        except AssertionError as failed:
            failed.add_note(machine.docker.compose("logs", "--tail=20", "migrate", "secrets"))
            raise
    with timed("until all are healthy"):
        until(lambda: not unhealthy(machine), HEALTHY_SECONDS)


def unhealthy(machine: Machine) -> set[str]:
    shown = '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Health.Status}}'
    services = machine.docker.compose("ps", "--quiet", *STAYING).split()
    states = machine.docker.run("inspect", "--format", shown, *services).splitlines()
    return set(STAYING) - {state.removesuffix(" healthy") for state in states}


@pytest.fixture(scope="module")
def cluster(machine: Machine) -> Iterator[Machine]:
    told = machine.docker.compose("build")
    # All of it is cached: what is counted here is how often it is built for one file.
    assert told.count(f"Successfully tagged {IMAGE}") == 1, told
    try:
        up(machine)
        yield machine
    finally:
        machine.docker.compose("down", "--volumes")
    assert machine.containers == []
    assert machine.docker.run("volume", "ls", "--quiet") == ""


class Person:
    """Somebody who signed up, with a conversation of two."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._password = f"correct horse {name}"
        body = {"username": name, "password": self._password, "email": f"{name}@example.com"}
        assert call("POST", f"{GATEWAY}/v1/users", body)[0] == 201
        self.token = self.sign_in()

    def sign_in(self) -> str:
        form = {"username": self.name, "password": self._password}
        status, body = call("POST", f"{GATEWAY}/token", form=form)
        assert status == 200, body
        return str(body["access_token"])

    def conversation_with(self, other: "Person") -> str:
        body = {"type": "private", "members": [other.name]}
        status, made = call("POST", f"{GATEWAY}/v1/conversations", body, self.token)
        assert status in (200, 201), made
        return str(made["conversation_id"])

    def send(self, conversation: str, content: str) -> str:
        body = {"chat_id": conversation, "content": content}
        status, sent = call("POST", f"{GATEWAY}/v1/messages", body, self.token)
        assert status == 202, sent
        return str(sent["message_id"])

    def upload(self, content: bytes) -> str:
        """Upload a file at once, and return its address."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(content)),
            "Content-Type": "application/offset+octet-stream",
        }
        asked = urllib.request.Request(f"{GATEWAY}/v1/files", content, headers, method="POST")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert answer.headers["Upload-Offset"] == str(len(content))
            return f"{GATEWAY}{answer.headers['Location']}"

    def download(self, address: str) -> bytes:
        asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return bytes(answer.read())

    def history(self, conversation: str) -> list[dict[str, Any]] | None:
        """Return the newest page; None while it cannot be read."""
        path = f"{GATEWAY}/v1/conversations/{conversation}/messages?limit=200"
        try:
            status, page = call("GET", path, token=self.token)
        except OSError:
            return None
        return list(page) if status == 200 else None


@pytest.fixture(scope="module")
def people(cluster: Machine) -> tuple[Person, Person]:
    tag = uuid.uuid4().hex[:8]
    return Person(f"ana-{tag}"), Person(f"bruno-{tag}")


def exchange(people: tuple[Person, Person], conversation: str, count: int) -> None:
    """Send, and see that the other one reads the same, once and in order, after what was there."""
    ana, bruno = people
    before = bruno.history(conversation) or []
    contents = [f"{number} {uuid.uuid4()}" for number in range(count)]
    ids = [ana.send(conversation, content) for content in contents]

    def arrived() -> bool:
        return len(bruno.history(conversation) or []) >= len(before) + count

    until(arrived, FOUND_AGAIN_SECONDS)
    page = bruno.history(conversation) or []
    assert [message["seq"] for message in page] == list(range(1, len(before) + count + 1))
    new = page[len(before) :]
    assert [(m["message_id"], m["content"]) for m in new] == list(zip(ids, contents, strict=True))
    assert ana.history(conversation) == page


def test_messages_are_there_once_and_in_order(
    cluster: Machine, people: tuple[Person, Person]
) -> None:
    exchange(people, people[0].conversation_with(people[1]), 100)
    for line in cluster.docker.run(
        "stats", "--no-stream", "--format", "{{.Name}}: {{.MemUsage}}, {{.CPUPerc}}"
    ).splitlines():
        say(line)


def test_the_demonstration_is_made_on_demand(cluster: Machine) -> None:
    told = cluster.docker.compose("run", "--rm", "demo")
    assert "bruno and ana, password test" in told
    form = {"username": "bruno", "password": "test"}
    assert call("POST", f"{GATEWAY}/token", form=form)[0] == 200


def test_all_is_there_after_the_containers_were_made_anew(
    cluster: Machine, people: tuple[Person, Person]
) -> None:
    ana, bruno = people
    conversation = ana.conversation_with(bruno)
    exchange(people, conversation, 5)
    before = bruno.history(conversation)
    content = os.urandom(12_000_000)  # two parts
    file = bruno.upload(content)
    with timed("docker-compose down"):
        cluster.docker.compose("down")
    assert cluster.containers == []
    up(cluster)
    # With a token of before: the key that signed it stayed.
    until(lambda: bruno.history(conversation) is not None, FOUND_AGAIN_SECONDS)
    assert bruno.history(conversation) == before
    assert bruno.download(file) == content
    exchange(people, conversation, 5)


def test_cassandra_is_found_again_at_another_address(
    cluster: Machine, people: tuple[Person, Person]
) -> None:
    ana, bruno = people
    conversation = ana.conversation_with(bruno)
    exchange(people, conversation, 5)
    before = address(cluster, "cassandra")
    cluster.docker.compose("rm", "--stop", "--force", "cassandra")
    # Whoever comes next gets the address that is free now.
    network = cluster.docker.run("network", "ls", "--quiet", "--filter", "name=chat4all_net")
    waits = ("--entrypoint", "python", IMAGE, "-c", "import signal; signal.pause()")
    taking = cluster.docker.run("run", "--rm", "--detach", "--network", network, *waits)
    try:
        cluster.docker.compose("up", "--detach", "cassandra")
        assert address(cluster, "cassandra") != before
        until(lambda: "cassandra" not in unhealthy(cluster), HEALTHY_SECONDS)
        with timed("until messages are read again"):
            until(lambda: bruno.history(conversation) is not None, FOUND_AGAIN_SECONDS)
        exchange(people, conversation, 5)
        until(lambda: not unhealthy(cluster), FOUND_AGAIN_SECONDS)
    finally:
        cluster.docker.run("rm", "--force", taking)


def address(machine: Machine, service: str) -> str:
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    container = machine.docker.compose("ps", "--quiet", service)
    return machine.docker.run("inspect", "--format", shown, container)
