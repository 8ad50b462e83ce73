"""The image as one container with everything in it, run as the documentation says."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.packages import say
from tests.docs.blocks import commands
from tests.faults.running import call, until
from tests.image.conftest import IMAGE, Machine
from tests.image.measuring import timed

pytestmark = [pytest.mark.slow, pytest.mark.image, pytest.mark.timeout(300)]

GATEWAY = "http://127.0.0.1:8000"
PAGE = Path("docs/operations/production.md")
CONTAINER, VOLUME = "chat4all", "chat4all"
STOP_SECONDS = 5


def ready() -> bool:
    try:
        return call("GET", f"{GATEWAY}/health/ready")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def recipe() -> dict[str, list[str]]:
    """Return the page's commands by the program and verb that they begin with."""
    found: dict[str, list[str]] = {}
    for command in commands(PAGE, "In one container"):
        program, verb, *arguments = command
        found[f"{program} {verb}"] = [verb, *arguments]
    return found


@pytest.fixture(scope="module")
def container(machine: Machine, recipe: dict[str, list[str]]) -> Iterator[Machine]:
    docker = machine.docker
    assert IMAGE in recipe["docker run"]
    try:
        with timed("one container, until it is ready"):
            docker.run(*recipe["docker run"])
            until(ready)
        yield machine
    finally:
        docker.run("rm", "--force", "--volumes", CONTAINER)
        docker.run("volume", "rm", VOLUME)


def test_messages_stay_when_the_container_is_made_anew(
    container: Machine, recipe: dict[str, list[str]]
) -> None:
    docker = container.docker
    people = {}
    for name in ("ana", "bruno"):
        form = {"username": name, "password": f"correct horse {name}"}
        assert (
            call("POST", f"{GATEWAY}/v1/users", form | {"email": f"{name}@example.com"})[0] == 201
        )
        people[name] = call("POST", f"{GATEWAY}/token", form=form)[1]["access_token"]
    body = {"type": "private", "members": ["bruno"]}
    status, made = call("POST", f"{GATEWAY}/v1/conversations", body, people["ana"])
    assert status == 201, made
    chat = made["conversation_id"]
    ids = []
    for number in range(20):
        message = {"chat_id": chat, "content": str(number)}
        status, sent = call("POST", f"{GATEWAY}/v1/messages", message, people["ana"])
        assert status == 202
        ids.append(sent["message_id"])

    stats = ("stats", "--no-stream", "--format", "{{.MemUsage}}", CONTAINER)
    say(f"one container: {docker.run(*stats)}")
    before = time.monotonic()
    docker.run("stop", CONTAINER)  # SIGTERM; SIGKILL comes after the container's stop timeout
    assert time.monotonic() - before < STOP_SECONDS
    assert docker.run("inspect", "--format", "{{.State.ExitCode}}", CONTAINER) == "0"
    docker.run("rm", CONTAINER)
    docker.run(*recipe["docker run"])
    until(ready)

    def page() -> list[str]:
        path = f"{GATEWAY}/v1/conversations/{chat}/messages"
        status, messages = call("GET", path, token=people["bruno"])
        return [m["message_id"] for m in messages] if status == 200 else []

    until(lambda: page() == ids)


def test_health_user_and_folder_are_as_the_page_says(container: Machine) -> None:
    docker = container.docker
    health = ("inspect", "--format", "{{.State.Health.Status}}", CONTAINER)
    until(lambda: docker.run(*health) == "healthy", 30)
    assert docker.run("exec", CONTAINER, "id", "-u") == "10001"
    modes = docker.run("exec", CONTAINER, "stat", "-c", "%a %u", "/var/lib/chat4all/data")
    assert modes == "700 10001"


def test_the_backup_of_the_page_is_whole(container: Machine, recipe: dict[str, list[str]]) -> None:
    told = container.docker.run(*recipe["docker exec"])
    assert "is a whole backup" in told
