"""Cassandra is killed or hangs: writers go on, readers are told in time, the router catches up."""

import asyncio
import time

import aiohttp
import pytest

from chat4all.adapters.cassandra import CassandraDeadLetters, CassandraSession, Contact
from tests.cluster.services import all_ready
from tests.cluster.site import (
    BACK_SECONDS,
    REQUEST_SECONDS,
    SLOW_SECONDS,
    Crowd,
    Site,
    new_names,
)
from tests.cluster.test_services import People
from tests.faults.running import call, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.alone,
    pytest.mark.timeout(240, func_only=True),
]


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
        until(lambda: site.trouble(site.gateways[0], "store") != "")
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


READERS = 1_000


def test_a_thousand_readers_of_a_node_that_hangs_are_told_in_time(site: Site) -> None:
    """Fails when those who wait for a turn are told after several time-outs, one after another."""
    people = People(site.gateways, new_names(2))
    url = f"{site.gateways[0].url}/v1/conversations/{people.chat}/messages"
    headers = {"Authorization": f"Bearer {next(iter(people.tokens.values()))}"}

    async def read(session: aiohttp.ClientSession) -> tuple[int, float]:
        began = time.monotonic()
        async with session.get(url, headers=headers) as answer:
            await answer.read()
            return answer.status, time.monotonic() - began

    async def read_all() -> list[tuple[int, float]]:
        connector = aiohttp.TCPConnector(limit=READERS)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            return await asyncio.gather(*(read(session) for _ in range(READERS)))

    site.cassandra.pause()
    try:
        results = asyncio.run(read_all())
    finally:
        site.cassandra.resume()
    assert {status for status, _ in results} == {503}
    assert max(seconds for _, seconds in results) < REQUEST_SECONDS + SLOW_SECONDS
    all_ready(site.services)
