"""Kafka is killed and paused while people write: no false 202, no hang, back by itself."""

import pytest

from tests.cluster.site import Crowd, Site
from tests.faults.running import until

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]

BACK_SECONDS = 40.0
"""A broker that died while the router joined its group may keep the router's old membership, which
then has to expire."""


def refuses(site: Site, crowd: Crowd) -> None:
    """Everybody is told 503 with an id to retry with, and readiness says why."""
    crowd.is_refused()
    for service in (*site.gateways, site.router):
        until(lambda: "Kafka" in site.trouble(service, "log"))  # noqa: B023
    assert [client.nameless for client in crowd.clients] == [0] * len(crowd.clients)


def test_kafka_killed_under_load(site: Site) -> None:
    """Mutant: a gateway that answers 202 when it has handed the record to the producer."""
    with site.crowd() as crowd:
        site.kafka.kill()
        refuses(site, crowd)
        site.kafka.restart()
        crowd.goes_on(BACK_SECONDS)


def test_kafka_paused_under_load(site: Site) -> None:
    """Mutants: as above; a producer that waits for no acknowledgement (`acks=0`)."""
    with site.crowd() as crowd:
        site.kafka.pause()
        refuses(site, crowd)
        site.kafka.resume()
        crowd.goes_on(BACK_SECONDS)
        # What it has not read yet goes with it.
        site.kafka.pause()
        crowd.is_refused()
        site.kafka.kill()
        site.kafka.restart()
        crowd.goes_on(BACK_SECONDS)
