"""The link between the two processes of one machine, both ends in this one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from chat4all.adapters.embedded import GatewayLink, RouterLink, link
from chat4all.adapters.embedded.link import Kind, Status
from chat4all.domain.errors import Unavailable
from tests.contract.test_live_feed import event

pytestmark = pytest.mark.anyio


class Ends:
    """The two ends, running, and what the router's end was told."""

    def __init__(self, router: RouterLink, gateway: GatewayLink) -> None:
        self.router = router
        self.gateway = gateway
        self.rings = 0
        self.trouble: str | None = None
        self.committed = 7
        self.defects = 0

    def rung(self) -> None:
        self.rings += 1

    async def status(self) -> Status:
        if self.defects:
            self.defects -= 1
            raise RuntimeError("a defect")
        return Status(self.committed, self.trouble)


async def measured() -> bytes:
    return b"measured 1\n"


@asynccontextmanager
async def ends() -> AsyncIterator[Ends]:
    here, there = link.pair()
    found = Ends(
        await RouterLink.over(here, lambda _: None, lambda: None), await GatewayLink.over(there)
    )
    tasks = [
        asyncio.create_task(found.router.run()),
        asyncio.create_task(found.gateway.run(found.rung, measured)),
    ]
    try:
        async with found.gateway.beating(found.status):
            yield found
    finally:
        found.router.close()
        found.gateway.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def trouble(router: RouterLink) -> str:
    try:
        await router.ping()
    except Unavailable as error:
        return str(error)
    return ""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_many_appends_ring_few_times_and_the_last_one_is_heard() -> None:
    async with ends() as both:
        for _ in range(1_000):
            both.router.ring()
        await until(lambda: both.rings == 2)  # the first at once, all others together
        both.router.ring()
        await until(lambda: both.rings == 3)


async def test_the_router_says_how_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "HEARTBEAT_SECONDS", 0.001)
    async with ends() as both:
        await until(lambda: both.router.committed == 7)
        await both.router.ping()
        both.trouble = "storing fails: disk I/O error"

        async with asyncio.timeout(10):
            while await trouble(both.router) != "storing fails: disk I/O error":
                await asyncio.sleep(0.001)
        both.trouble = None
        async with asyncio.timeout(10):
            while await trouble(both.router):
                await asyncio.sleep(0.001)


async def test_the_heartbeat_survives_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when an unexpected error ends it, so that a router that routes is taken for hung."""
    monkeypatch.setattr(link, "HEARTBEAT_SECONDS", 0.001)
    async with ends() as both:
        await until(lambda: both.router.committed == 7)
        both.defects, both.committed = 3, 8
        await until(lambda: both.router.committed == 8)


async def test_a_router_that_is_silent_or_gone_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ends() as both:
        await until(lambda: both.router.committed == 7)
        monkeypatch.setattr(link, "SILENCE_SECONDS", -1.0)
        with pytest.raises(Unavailable, match="does not answer"):
            await both.router.ping()
        monkeypatch.undo()
        both.gateway.close()
        async with asyncio.timeout(10):
            while await trouble(both.router) != "the router's process has ended":
                await asyncio.sleep(0.001)


async def test_what_the_router_measures_can_be_asked_for_by_many_at_once() -> None:
    async with ends() as both:
        async with asyncio.timeout(10):
            texts = await asyncio.gather(*(both.router.metrics() for _ in range(5)))
        assert texts == [b"measured 1\n"] * 5


@pytest.mark.parametrize("kind", [9, Kind.APPENDED])
async def test_a_frame_of_an_unknown_kind_is_ignored_by_the_gateway(
    kind: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails when it ends the task that takes what the router says."""
    async with ends() as both:
        await until(lambda: both.router.committed == 7)
        send_raw(both.gateway, kind)
        async with asyncio.timeout(10):
            assert await both.router.metrics() == b"measured 1\n"
    assert [(record.message, vars(record)["kind"]) for record in caplog.records] == [
        ("a frame of an unknown kind is ignored", kind)
    ]


@pytest.mark.parametrize("kind", [0, Kind.STATUS])
async def test_a_frame_of_an_unknown_kind_is_ignored_by_the_router(
    kind: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails when it ends the router's process."""
    async with ends() as both:
        send_raw(both.router, kind)
        both.router.ring()
        await until(lambda: both.rings == 1)
    assert [(record.message, vars(record)["kind"]) for record in caplog.records] == [
        ("a frame of an unknown kind is ignored", kind)
    ]


def send_raw(end: RouterLink | GatewayLink, kind: int) -> None:
    end._frames._writer.write((2).to_bytes(4, "big") + bytes((kind, 0)))


async def test_announcing_to_nobody_is_unavailable() -> None:
    async with ends() as both:
        both.router.close()

        async def announced() -> bool:
            try:
                await both.gateway.announce([event(1)])
            except Unavailable:
                return False
            return True

        async with asyncio.timeout(10):
            while await announced():
                await asyncio.sleep(0.001)
