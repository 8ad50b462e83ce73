"""The metadata service or its database is unavailable: nothing is disclosed, and all recovers."""

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.services import Service, all_ready
from tests.cluster.site import BACK_SECONDS, REQUEST_SECONDS, SLOW_SECONDS, Site, new_names
from tests.cluster.test_services import PASSWORD, People
from tests.faults.running import call, until

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]

HOLDS_SECONDS = 5.0
"""How long a gateway may answer from its cache."""

AWAY_AND_BACK: dict[str, tuple[Callable[[Site], Any], Callable[[Site], Any]]] = {
    "service-killed": (
        lambda site: site.metadata.stop(signal.SIGKILL),
        lambda site: site.metadata.start(),
    ),
    "service-paused": (
        lambda site: site.metadata.tell(signal.SIGSTOP),
        lambda site: site.metadata.tell(signal.SIGCONT),
    ),
    "database-killed": (
        lambda site: site.postgres.kill(),
        lambda site: site.postgres.restart(),
    ),
    "database-paused": (
        lambda site: site.postgres.pause(),
        lambda site: site.postgres.resume(),
    ),
}


def timed(*arguments: Any, **named: Any) -> tuple[int, Any]:
    """Call; nothing may take longer than a request may."""
    began = time.monotonic()
    found = call(*arguments, **named)
    assert time.monotonic() - began < REQUEST_SECONDS + SLOW_SECONDS
    return found


def send_and_read(people: People, gateway: Service) -> set[int]:
    """Return the two statuses; what was accepted is kept for the checker."""
    name, token = next(iter(people.tokens.items()))
    body = {"chat_id": people.chat, "content": "x"}
    people.sent[name].sends(body["content"], None)
    sent, answer = timed("POST", f"{gateway.url}/v1/messages", body, token)
    people.sent[name].is_told(body["content"], answer.get("message_id"))
    path = f"/v1/conversations/{people.chat}/messages"
    read, _ = timed("GET", gateway.url + path, token=token)
    if sent == 202:
        people.sent[name].is_accepted(body["content"], answer["message_id"])
    assert sent in (202, 503)
    assert read in (200, 503)
    return {sent, read}


@pytest.mark.parametrize("what", AWAY_AND_BACK)
def test_nothing_is_given_out_while_nobody_knows_who_may(site: Site, what: str) -> None:
    """Mutants: a cache that never expires; a gateway that asks for ever."""
    away, back = AWAY_AND_BACK[what]
    names = new_names(2)
    people = People(site.gateways, names)
    # One gateway has them cached, the other was never asked.
    assert send_and_read(people, site.gateways[0]) == {202, 200}
    away(site)
    began = time.monotonic()
    for gateway in (*site.gateways[::-1], *site.gateways):
        while True:
            asked = time.monotonic()
            if send_and_read(people, gateway) == {503}:
                break
            assert asked - began < HOLDS_SECONDS
    for gateway in site.gateways:
        # An answer of a moment ago may be given once more.
        until(lambda: "metadata service" in site.trouble(gateway, "directory"))  # noqa: B023
        form = {"username": names[0], "password": PASSWORD}
        assert timed("POST", f"{gateway.url}/token", form=form)[0] == 503
    back(site)
    for gateway in site.gateways:
        until(lambda: send_and_read(people, gateway) == {202, 200}, BACK_SECONDS)  # noqa: B023
    all_ready(site.services)
    people.check()
