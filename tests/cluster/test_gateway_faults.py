"""Gateways are killed, and every service is stopped, while people write."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from engines.server import Server
from tests.cluster.services import Service, all_ready
from tests.cluster.site import BACK_SECONDS, DRAIN_SECONDS, Site
from tests.faults.clients import Client
from tests.faults.running import call, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(240, func_only=True),
]


@contextmanager
def paused(engine: Server) -> Iterator[Callable[[], None]]:
    """Pause an engine; what is yielded lets it go on before the end."""
    engine.pause()
    try:
        yield engine.resume
    finally:
        engine.resume()


class Stopping(threading.Thread):
    """Tells a service to stop and waits for its end."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._found: tuple[int, float] | None = None
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        status = self._service.stop(signal.SIGTERM)
        self._found = status, time.monotonic() - began

    def began(self) -> None:
        """Return once the service takes no new connections."""
        until(lambda: not answers(self._service))

    def ended(self) -> None:
        """Return once it has ended, well and in time."""
        self.join()
        assert self._found is not None, f"the {self._service.what} does not end"
        status, seconds = self._found
        assert (status, seconds < DRAIN_SECONDS) == (0, True), (self._service.what, seconds)


def answers(service: Service) -> bool:
    try:
        return call("GET", f"{service.url}/health")[0] == 200
    except OSError:
        return False


def answered(clients: Sequence[Client]) -> list[int]:
    return [client.refused + len(client.acknowledged) for client in clients]


def test_a_gateway_killed_under_load(site: Site) -> None:
    """Mutant: a gateway that answers 202 when it has handed the record to the producer."""
    gateway = site.gateways[1]
    with site.crowd() as crowd:
        for _ in range(2):
            gateway.stop(signal.SIGKILL)
            gateway.start()
            crowd.goes_on(60)
        # While Kafka does not answer, nothing may have been promised.
        with paused(site.kafka):
            crowd.stands_still(crowd.at(gateway))
            gateway.stop(signal.SIGKILL)
        gateway.start()
        crowd.goes_on(60)


@pytest.mark.alone
def test_told_to_stop_under_load(site: Site) -> None:
    """Mutant: a gateway that ends without waiting for what is under way."""
    with site.crowd() as crowd:
        for service in (site.gateways[0], site.router, site.metadata):
            Stopping(service).ended()
            service.start()
            all_ready(site.services)
            crowd.goes_on(BACK_SECONDS)


@pytest.mark.alone
def test_a_gateway_told_to_stop_answers_what_is_under_way(site: Site) -> None:
    """Mutants: as above; a gateway that gives requests less time than Kafka has."""
    gateway = site.gateways[1]
    with site.crowd() as crowd:
        there = crowd.at(gateway)
        for kafka_returns in (True, False):
            with paused(site.kafka) as resume:
                crowd.stands_still(there)
                cut, before = [client.cut for client in there], answered(there)
                stopping = Stopping(gateway)
                stopping.began()
                if kafka_returns:
                    resume()
                stopping.ended()
            # Once each, and then nobody listens any more.
            until(lambda: answered(there) == [count + 1 for count in before])  # noqa: B023
            assert [client.cut for client in there] == cut
            gateway.start()
            crowd.goes_on(60)


@pytest.mark.alone
def test_told_to_stop_while_the_engines_are_away(site: Site) -> None:
    """Mutant: a service that ends only when its engines have answered."""
    with site.crowd() as crowd:
        with paused(site.kafka), paused(site.cassandra), paused(site.postgres):
            crowd.is_refused()
            stopping = [Stopping(service) for service in site.services]
            for one in stopping:
                one.ended()
        for service in site.services:
            service.start()
        crowd.goes_on(60)
