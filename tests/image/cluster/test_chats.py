"""`docker-compose.yml`, unchanged: built, started, stopped, and an engine at another address.

The engines' images are stand-ins (`standins/`); the services' image is the one of the Dockerfile.
"""

import uuid
from pathlib import Path

import pytest

from tests.faults.running import call, until
from tests.faults.tus import random_file
from tests.image.cluster.containers import (
    FOUND_AGAIN_SECONDS,
    moved,
    say_memory,
    unhealthy,
    up,
)
from tests.image.conftest import Machine
from tests.image.measuring import timed
from tests.image.people import GATEWAY, Person
from tests.image.uploads import FIRST, SIZE, finish, is_whole, sent

pytestmark = [pytest.mark.slow, pytest.mark.image, pytest.mark.timeout(900)]


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
    say_memory(cluster)


def test_the_demonstration_is_made_on_demand(cluster: Machine) -> None:
    told = cluster.docker.compose("run", "--rm", "demo")
    assert "bruno and ana, password test" in told
    form = {"username": "bruno", "password": "test"}
    assert call("POST", f"{GATEWAY}/token", form=form)[0] == 200


def test_all_is_there_after_the_containers_were_made_anew(
    cluster: Machine, people: tuple[Person, Person], tmp_path: Path
) -> None:
    ana, bruno = people
    conversation = ana.conversation_with(bruno)
    exchange(people, conversation, 5)
    whole = ana.begin(random_file(tmp_path, SIZE, 1))
    assert whole.patch(GATEWAY, 0) == 204
    sent(ana, conversation, "file", whole.path, bruno)
    half = ana.begin(random_file(tmp_path, SIZE, 2))
    assert half.patch(GATEWAY, 0, FIRST) == 204
    before = bruno.history(conversation)
    with timed("docker-compose down"):
        cluster.docker.compose("down")
    assert cluster.containers == []
    up(cluster)
    # With a token of before: the key that signed it stayed.
    until(lambda: bruno.history(conversation) is not None, FOUND_AGAIN_SECONDS)
    assert bruno.history(conversation) == before
    exchange(people, conversation, 5)
    is_whole(whole, bruno)
    finish(half)
    is_whole(half, ana)
    assert half.sent == SIZE


def test_cassandra_is_found_again_at_another_address(
    cluster: Machine, people: tuple[Person, Person]
) -> None:
    ana, bruno = people
    conversation = ana.conversation_with(bruno)
    exchange(people, conversation, 5)
    with moved(cluster, "cassandra"):
        with timed("until messages are read again"):
            until(lambda: bruno.history(conversation) is not None, FOUND_AGAIN_SECONDS)
        exchange(people, conversation, 5)
        until(lambda: not unhealthy(cluster), FOUND_AGAIN_SECONDS)
