"""A router as a service: its port, its name, and its end when its producer has failed."""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from confluent_kafka import KafkaError

from chat4all.adapters.kafka import AwaitedLog
from chat4all.domain.errors import StartRefused
from chat4all.domain.records import Epoch
from chat4all.http.server.serving import listening
from chat4all.processes.cluster_router import default_name
from chat4all.settings import load_settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use, and below others that are free."""
    with ExitStack() as stack:
        while True:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            if (port := listener.getsockname()[1]) < 65_000:
                yield port
                return


def test_a_second_router_takes_the_next_free_port(taken: int) -> None:
    with listening("127.0.0.1", taken, "--router-port", 50) as first:
        second_port = first.getsockname()[1]
        assert taken < second_port <= taken + 50
        with listening("127.0.0.1", taken, "--router-port", 50) as second:
            assert second_port < second.getsockname()[1] <= taken + 50
    with (
        pytest.raises(StartRefused, match=f"cannot listen on 127.0.0.1:{taken} "),
        listening("127.0.0.1", taken, "--router-port"),
    ):
        pass


def test_only_a_port_that_was_not_set_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().router.other_ports > 10
    assert load_settings(router_port=8002).router.other_ports == 0
    monkeypatch.setenv("CHAT4ALL_ROUTER_PORT", "8002")
    assert load_settings().router.other_ports == 0


@pytest.mark.parametrize("host", ["host", "a.b-c", "tief@höhle", "a:b"])
def test_routers_of_one_host_have_different_names_that_kafka_takes(host: str) -> None:
    names = {default_name(host, port) for port in (8002, 8003)}
    assert len(names) == 2
    assert all(re.fullmatch("[A-Za-z0-9._-]+", name) for name in names)


class NoEpochs:
    async def newest(self) -> Epoch | None:
        return None

    async def add(self, epoch: Epoch) -> Epoch:
        raise NotImplementedError


async def test_a_process_is_told_when_its_producer_has_failed_for_good() -> None:
    """Fails when only the producer knows: the process would go on without acknowledging any."""
    log = AwaitedLog("127.0.0.1:9", "t", NoEpochs())
    async with log.open(), asyncio.timeout(10):
        log.producer._take_error(KafkaError(KafkaError._TRANSPORT, "away"))
        await asyncio.sleep(0)
        assert not log.failed.done()
        for text in ("the first", "the second"):
            log.producer._take_error(KafkaError(KafkaError._FENCED, text, fatal=True))
        await log.failed
        assert "the first" in str(log.producer._fatal)
