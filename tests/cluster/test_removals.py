"""A member is removed: every gateway refuses them, even if the outbox cannot be read."""

import signal
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.cluster.services import Service, all_ready
from tests.cluster.site import Site, new_names
from tests.cluster.test_services import People
from tests.faults.running import call, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(240, func_only=True),
]

REFUSED_SECONDS = 5.0


def asks(people: People, name: str, gateway: Service) -> list[int]:
    """Return the statuses of a send and of a history."""
    body = {"chat_id": people.chat, "content": "x"}
    token = people.tokens[name]
    history = f"{gateway.url}/v1/conversations/{people.chat}/messages"
    return [
        call("POST", f"{gateway.url}/v1/messages", body, token)[0],
        call("GET", history, token=token)[0],
    ]


def remove(people: People, name: str, gateway: Service) -> int:
    owner = next(iter(people.tokens))
    url = f"{gateway.url}/v1/conversations/{people.chat}/members/{name}"
    return call("DELETE", url, token=people.tokens[owner])[0]


def until_refused(people: People, name: str, gateways: Sequence[Service], since: float) -> None:
    """Return once every gateway refuses; what is asked after 5 s must not be let through."""
    for gateway in gateways:
        while True:
            asked = time.monotonic()
            if not {202, 200} & set(asks(people, name, gateway)):
                break
            assert asked - since < REFUSED_SECONDS, f"{gateway.url} still lets them in"


@pytest.fixture
def people(site: Site) -> People:
    """Three who have just talked through both gateways, which have them cached."""
    found = People(site.gateways, new_names(3))
    for gateway in site.gateways:
        for name in found.tokens:
            assert asks(found, name, gateway) == [202, 200]
    return found


@pytest.fixture
def whole(site: Site) -> Iterator[None]:
    """Restart the metadata service without faults afterwards."""
    yield
    site.metadata.faults = ()


@pytest.mark.alone
def test_a_removed_member_is_refused_everywhere(site: Site, people: People) -> None:
    owner, removed, other = people.tokens
    assert remove(people, removed, site.gateways[0]) == 204
    assert asks(people, removed, site.gateways[0]) == [404, 404]  # it has seen to it itself
    until_refused(people, removed, site.gateways, time.monotonic())
    for gateway in site.gateways:
        assert asks(people, removed, gateway) == [404, 404]
        assert asks(people, owner, gateway) == asks(people, other, gateway) == [202, 200]


@pytest.mark.alone
@pytest.mark.usefixtures("whole")
def test_a_removal_whose_news_nobody_gets_counts_all_the_same(site: Site, people: People) -> None:
    """Mutant `memory_without_end`: a gateway whose cache never expires."""
    owner, removed, other = people.tokens
    assert site.metadata.stop(signal.SIGTERM) == 0
    site.metadata.faults = ("die_after_removal",)
    site.metadata.start()
    all_ready(site.services)
    for gateway in site.gateways:  # all members are cached
        assert asks(people, removed, gateway) == [202, 200]

    assert remove(people, removed, site.gateways[0]) == 503
    assert site.metadata.process is not None
    assert site.metadata.process.wait(30) == -signal.SIGKILL
    until_refused(people, removed, site.gateways, time.monotonic())

    site.metadata.faults = ()
    site.metadata.start()
    for gateway in site.gateways:
        until(lambda: asks(people, owner, gateway) == [202, 200], 30)  # noqa: B023
        assert asks(people, removed, gateway) == [404, 404]
        assert asks(people, other, gateway) == [202, 200]


def test_a_gateway_whose_cache_never_expires_is_found_out(site: Site, people: People) -> None:
    _, removed, _ = people.tokens
    wrong = site.cluster.service("gateway", "memory_without_end").start()
    try:
        until(wrong.ready, 60)
        until(lambda: asks(people, removed, wrong) == [202, 200], 30)
        assert remove(people, removed, site.gateways[0]) == 204
        with pytest.raises(AssertionError, match="still lets them in"):
            until_refused(people, removed, [wrong], time.monotonic())
    finally:
        wrong.stop(signal.SIGKILL)
        site.services.remove(wrong)
