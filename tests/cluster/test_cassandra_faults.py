"""Cassandra is killed while people write: they go on, the log waits, the router catches up."""

import asyncio

import pytest

from chat4all.adapters.cassandra import CassandraDeadLetters, CassandraSession, Contact
from tests.cluster.site import BACK_SECONDS, REQUEST_SECONDS, SLOW_SECONDS, Crowd, Site
from tests.faults.running import call, until

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]


def history_status(crowd: Crowd) -> int:
    people = crowd.people
    path = f"/v1/conversations/{people.chat}/messages"
    token = next(iter(people.tokens.values()))
    return call("GET", people.gateways[0].url + path, token=token)[0]


def dead_letters(site: Site) -> int:
    async def count() -> int:
        contact = Contact([site.cassandra.address], site.cluster.topic, site.cassandra.port)
        session = CassandraSession(contact)
        try:
            return len(await CassandraDeadLetters(session).all(1))
        finally:
            await session.close()

    return asyncio.run(count())


@pytest.mark.parametrize("how", ["killed", "paused"])
def test_cassandra_away_under_load(site: Site, how: str) -> None:
    """Mutants: a router that goes on to the commit after a store error; a store error that makes
    the record a dead letter; a gateway that asks the store before it answers 202."""
    with site.crowd() as crowd:
        if how == "killed":
            site.cassandra.kill()
        else:
            site.cassandra.pause()
        until(lambda: history_status(crowd) == 503)
        until(lambda: "Cassandra" in site.trouble(site.router, "router"))
        assert site.trouble(site.gateways[0], "store") != ""
        before, refused = site.committed(), sum(client.refused for client in crowd.clients)
        for times in (5, 20):
            # Nobody who writes notices. What they write waits.
            crowd.goes_on(times=times)
            assert site.lag() >= times * len(crowd.clients)
        assert site.committed() == before
        assert history_status(crowd) == 503
        assert sum(client.refused for client in crowd.clients) == refused
        assert max(c.longest for c in crowd.clients) < REQUEST_SECONDS + SLOW_SECONDS
        if how == "killed":
            site.cassandra.restart()
        else:
            site.cassandra.resume()
        until(lambda: history_status(crowd) == 200, BACK_SECONDS)
    until(lambda: site.lag() == 0)
    assert dead_letters(site) == 0
