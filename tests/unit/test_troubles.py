"""Each trouble ends in a sentence that names cause and remedy, and clients see no addresses."""

import asyncio
import gc
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import httpx
import pytest
from fastapi import FastAPI

from chat4all.adapters.caching import OutboxFollower
from chat4all.adapters.cassandra import CassandraEpochs, CassandraSession, Contact
from chat4all.adapters.kafka import (
    AwaitedLog,
    GroupState,
    KafkaGroup,
    KafkaProducer,
    RoutersWatch,
    awaited_log,
)
from chat4all.adapters.kafka.reachability import Address, addresses_of, check_advertised
from chat4all.adapters.kafka.topics import Topic
from chat4all.adapters.metadata_http import HttpOutbox, MetadataService
from chat4all.adapters.network_errors import reason_of
from chat4all.adapters.sql.schema import revision
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.doctor.cluster import CHECKS
from chat4all.domain.errors import Degraded, OutcomeUnknown, Unavailable
from chat4all.domain.records import Epoch
from chat4all.http.health import health_routes, watched
from chat4all.http.problems import install_problems
from chat4all.logs import quieten_libraries
from chat4all.ports.log import Poll
from chat4all.router.loop import Router
from chat4all.settings import load_settings
from tests.docs.troubles import assert_documented
from tests.faults.running import free_ports
from tests.unit.test_commands import chat4all

NOWHERE = "nowhere.invalid"
"""A name that is nobody's (RFC 6761)."""


async def kafka(host: str) -> None:
    producer = KafkaProducer(f"{host}:9")
    await producer.open()
    try:
        await producer.ping("t")
    finally:
        await producer.close()


async def cassandra(host: str) -> None:
    session = CassandraSession(Contact([host], "k", 9))
    try:
        await session.run("SELECT epoch FROM log_epochs")
    finally:
        await session.close()


async def metadata(host: str) -> None:
    service = MetadataService(f"http://{host}:9", "c" * 32)
    following = OutboxFollower(HttpOutbox(service))
    try:
        async with following.running():
            while True:
                await asyncio.sleep(0.01)
                try:
                    following.require()
                except Unavailable as error:
                    if "not been heard yet" not in str(error):
                        raise
    finally:
        await service.close()


async def database(host: str) -> None:
    opened = ServerDatabase(ServerUrl("postgresql", f"postgresql://u:secret@{host}:9/x"))
    try:
        await opened.read(revision)
    finally:
        await opened.close()


@pytest.mark.thorough
@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.0.0.1", NOWHERE])
@pytest.mark.parametrize("away", [kafka, cassandra, metadata, database])
async def test_who_is_not_there_is_named_to_operators_only(
    away: Callable[[str], Awaitable[None]], host: str
) -> None:
    with pytest.raises(Unavailable) as told:
        async with asyncio.timeout(30):
            await away(host)
    assert_documented(str(told.value))
    assert host in str(told.value)
    assert "secret" not in str(told.value)
    assert told.value.public
    assert host not in told.value.public
    assert_documented_for_clients(told.value.public)


def assert_documented_for_clients(shown: str) -> None:
    assert f"`{shown}`" in " ".join(Path("docs/operations/troubles.md").read_text().split())


@pytest.mark.anyio
async def test_what_kafka_says_of_itself_must_be_reachable() -> None:
    with pytest.raises(Unavailable, match="advertises") as told:
        await check_advertised("localhost:29092", [Address(NOWHERE, 9092)])
    assert_documented(str(told.value))
    with pytest.raises(Unavailable) as told:
        await check_advertised("localhost:29092", [])
    assert_documented(str(told.value))


@pytest.mark.anyio
async def test_why_there_is_no_connection_to_a_name_with_several_addresses() -> None:
    with pytest.raises(OSError, match="Connect call failed") as failed:
        await asyncio.open_connection("localhost", free_ports(1)[0])
    assert reason_of(failed.value) == "Connection refused"
    both = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 9, 0, 0), ...")
    assert reason_of(both) == "Connection refused"
    assert reason_of(TimeoutError()) == "no answer in time"
    assert reason_of(OSError("else")) == "no connection"


def test_addresses_as_people_write_them() -> None:
    assert addresses_of("kafka:9092, PLAINTEXT://[::1]:1,alone") == [
        ("kafka", 9092),
        ("::1", 1),
        ("alone", 9092),
    ]
    assert [str(address) for address in addresses_of("[::1]:1,k:2")] == ["[::1]:1", "k:2"]


# Messages that are not processed.


def state(members: int, *committed: int, end: int = 10) -> GroupState:
    return GroupState(
        [f"m{n}" for n in range(members)],
        dict(enumerate(committed)),
        dict.fromkeys(range(len(committed)), (0, end)),
    )


def test_routers_that_are_not_there_or_do_not_go_on() -> None:
    now = 0.0
    watch = RoutersWatch(KafkaGroup("127.0.0.1:9", "g"), "g", clock=lambda: now)

    nobody = watch.judge(state(0, 10, 4))
    assert nobody is not None
    assert "6 accepted messages wait" in nobody
    assert_documented(nobody)

    assert watch.judge(state(2, 10, 4)) is None
    now = 29.0
    assert watch.judge(state(2, 10, 5)) is None  # one that is slow goes on
    now = 58.0
    assert watch.judge(state(2, 10, 5)) is None
    now = 60.0
    stuck = watch.judge(state(2, 10, 5))
    assert stuck is not None
    assert_documented(stuck)
    assert watch.judge(state(2, 10, 10)) is None
    now = 1_000.0
    assert watch.judge(state(2, 10, 10)) is None  # nobody has said anything for long


def test_what_waits_is_counted_from_what_is_still_there() -> None:
    assert GroupState([], {0: 3, 1: 2}, {0: (0, 5), 1: (4, 9), 2: (1, 1)}).lag == {0: 2, 1: 5, 2: 0}


# Health and the log.


@pytest.mark.anyio
async def test_what_is_degraded_is_told_and_leaves_a_gateway_ready() -> None:
    async def degraded() -> None:
        raise Degraded("no router runs")

    async def away() -> None:
        raise Unavailable("Kafka at 10.1.2.3:9092 does not answer", "Kafka is unavailable")

    async def unknown() -> None:
        raise OutcomeUnknown("Kafka at 10.1.2.3:9092", "it did not confirm")

    for pings, status in ({"router": degraded}, 200), ({"router": degraded, "log": away}, 503):
        app = FastAPI()
        app.include_router(health_routes(pings))
        install_problems(app)
        app.get("/away")(away)
        app.get("/unknown")(unknown)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get("/health/ready")
            part = answer.json()["dependencies"]["router"]
            shown = [(await client.get(path)).json()["detail"] for path in ("/away", "/unknown")]
        assert answer.status_code == status
        assert (part["status"], part["error"]) == ("degraded", "no router runs")
        assert shown[0] == "Kafka is unavailable"
        assert shown[1].startswith("it did not confirm: it may or may not have been done")


@pytest.mark.anyio
async def test_each_cause_is_logged_once_until_all_is_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fails when it is logged at every look, or not at all."""
    said: list[str | None] = ["one", "one", "two", "one", None, None, "one", "one"]
    looked = 0
    done = asyncio.Event()

    async def ping() -> None:
        nonlocal looked
        if looked == len(said):
            done.set()
            return
        looked += 1
        if (cause := said[looked - 1]) is not None:
            raise Unavailable(cause)

    caplog.set_level(logging.INFO)
    async with watched({"log": ping}, 0.001), asyncio.timeout(10):
        await done.wait()
    found = [
        getattr(record, "cause", "well") for record in caplog.records if "part" in vars(record)
    ]
    assert found == ["one", "two", "well", "one", "well"] or found == ["one", "two", "well", "one"]
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.anyio
async def test_a_router_that_waits_says_so_once_and_that_it_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fails when each try is logged."""
    caplog.set_level(logging.INFO, "chat4all.router.loop")
    tries = 0

    async def poll(_: int) -> Poll:
        nonlocal tries
        tries += 1
        if tries < 6:
            raise Unavailable("Kafka is unavailable")
        router.stop()
        return Poll([], {})

    consumer = Mock(poll=poll)
    router = Router(consumer, Mock(), Mock(), Mock(), retry_first_seconds=0.0001)
    async with asyncio.timeout(10):
        await router.run()
    assert [record.message for record in caplog.records] == ["router waits", "router goes on"]


@pytest.mark.anyio
async def test_an_unexpected_error_of_looking_for_the_log_is_logged_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails when it ends the search, or when only `/health/ready` tells of it."""
    tries = 0
    epoch = Epoch(0, "chat_messages", "an id", 4)

    async def newest(_: CassandraEpochs) -> Epoch:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise RuntimeError("a defect")
        return epoch

    monkeypatch.setattr(CassandraEpochs, "newest", newest)
    monkeypatch.setattr(awaited_log, "LOOK_SECONDS", 0.001)
    log = AwaitedLog(
        "127.0.0.1:9",
        "chat_messages",
        CassandraEpochs(CassandraSession(Contact(["127.0.0.1"], "k"))),
        Mock(find=AsyncMock(return_value=Topic(epoch.topic_id, epoch.partitions))),
    )
    async with log.open(), asyncio.timeout(10):
        assert await log.found == epoch
    (told,) = [record for record in caplog.records if record.exc_info]
    assert told.levelno == logging.ERROR


def test_drivers_do_not_repeat_what_is_said_once() -> None:
    quieten_libraries()
    kafka_log = logging.getLogger("chat4all.kafka")

    def passes(text: str) -> bool:
        return bool(kafka_log.filter(logging.makeLogRecord({"msg": text})))

    assert not passes("FAIL [chat4all#producer-4] [thrd:x]: Connect to ipv4#127.0.0.1:9 failed")
    assert passes("MAXPOLL [chat4all#consumer-4] [thrd:main]: Application maximum poll interval")


# chat4all doctor.


def environment(host: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVER": f"{host}:9",
        "CASSANDRA_HOSTS": host,
        "CHAT4ALL_CASSANDRA_PORT": "9",
        "DATABASE_URL": f"postgresql://u:secret@{host}:9/x",
        "CHAT4ALL_METADATA_URL": f"http://{host}:9",
        "CHAT4ALL_SERVICE_CREDENTIAL": "c" * 32,
        "SECRET_KEY": "s" * 32,
    }


@pytest.mark.thorough
@pytest.mark.parametrize("host", ["127.0.0.1", NOWHERE])
def test_the_doctor_says_the_same_sentences(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(host).items():
        monkeypatch.setenv(name, value)
    told = chat4all("doctor", "--json", "--service", f"http://{host}:9")
    assert told.exit_code == 1
    found = problems(told.stdout)
    assert {check for check, _ in found} == {
        "kafka",
        "cassandra",
        "database",
        "metadata service",
        "services",
    }
    for check, says in found:
        if check != "services":
            assert_documented(says)
    assert "secret" not in told.stdout.replace('"secrets"', "")


def problems(stdout: str) -> list[tuple[str, str]]:
    listed: list[dict[str, Any]] = json.loads(stdout)["checks"]
    return [(c["check"], c["says"]) for c in listed if c["status"] == "problem"]


def test_the_doctor_looks_at_a_cluster_where_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load_settings().is_cluster
    for name in ("KAFKA_BROKER_URL", "CASSANDRA_HOSTS", "CHAT4ALL_METADATA_URL"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "http://x")
            assert load_settings().is_cluster
    told = chat4all("doctor", "--help")
    assert "KAFKA_BOOTSTRAP_SERVER" in told.stdout


def test_the_page_names_every_check() -> None:
    page = Path("docs/operations/troubles.md").read_text()
    table = page.split("| in a cluster it looks at |", 1)[1].split("\n\n", 1)[0]
    for check in CHECKS:
        assert f"| {check.__name__.replace('_', ' ')} |" in table
