"""A router of a cluster, whose log may have to be waited for."""

import asyncio
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from chat4all import __version__
from chat4all.adapters.cassandra import CassandraDeadLetters, CassandraSession, CassandraStore
from chat4all.adapters.kafka import AwaitedLog, KafkaAnnouncements, KafkaConsumer, KafkaGroup
from chat4all.adapters.kafka.feed import HEARTBEAT_SECONDS
from chat4all.adapters.prometheus import RouterMetrics
from chat4all.concurrency.periodic import periodically
from chat4all.domain.errors import Unavailable
from chat4all.domain.records import Epoch
from chat4all.processes.apps import make_router
from chat4all.processes.router_parts import RouterPorts
from chat4all.router.loop import POLL_MAX_IN_A_CLUSTER, Router
from chat4all.settings import RouterSettings

LOOK_SECONDS = 1.0
"""How often a router whose name another one has looks whether it is free."""

_log = logging.getLogger(__name__)


class ClusterRouter:
    """Routes once it is known which topic the log is. The consumer lives as long as that."""

    def __init__(
        self,
        settings: RouterSettings,
        log: AwaitedLog,
        session: CassandraSession,
        store: CassandraStore,
        port: int,
    ) -> None:
        self._settings = settings
        self._name = settings.name or default_name(socket.gethostname(), port)
        self._log = log
        self._store = store
        self._letters = CassandraDeadLetters(session)
        self._letters_found = False
        self.metrics = RouterMetrics(__version__, self._lag)
        self._consumer: KafkaConsumer | None = None
        self._router: Router | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Route until `stop`, or until the producer has failed for good."""
        self._log.failed.add_done_callback(lambda _: self.stop())
        stopping = asyncio.create_task(self._stopping.wait())
        either: set[asyncio.Future[Any]] = {self._log.found, stopping}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not self._stopping.is_set():
            await self._route(self._log.found.result())

    async def ping(self) -> None:
        """Return while messages are routed, and the table of dead letters is as it must be."""
        if self._router is None or self._consumer is None:
            raise Unavailable("the router waits for the log")
        await self._router.ping()
        if not self._letters_found:
            # Asked until it is found: columns do not go again.
            await self._letters.ping()
            self._letters_found = True
        # Last: it may say that this one only stands by, which hides no alarm.
        await self._consumer.ping()

    def stop(self) -> None:
        """Ask `run` to end after the batch in hand."""
        self._stopping.set()
        if self._router is not None:
            self._router.stop()

    async def _lag(self) -> Mapping[int, int]:
        return {} if self._consumer is None else self._consumer.lag()

    async def _route(self, epoch: Epoch) -> None:
        while await self._route_until_fenced(epoch):
            # A broker that dies while it answers may leave our own name to a member that is nobody:
            # it is gone after a session. One that lives keeps the name, and we do not take it.
            group = KafkaGroup(self._settings.kafka.bootstrap, self._settings.kafka.group)
            if await self._is_stopped_before(partial(_is_free, group, self._name)):
                return
            _log.warning("the router's name is free again", extra={"router": self._name})
        # Stopped with an alarm it does not end by itself: an operator has to look at it, and
        # `/health/ready` says so until then.
        await self._stopping.wait()

    async def _is_stopped_before(self, condition: Callable[[], Awaitable[bool]]) -> bool:
        """Wait for a condition, or for `stop`; return whether that came first."""
        while not self._stopping.is_set() and not await condition():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stopping.wait()
        return self._stopping.is_set()

    async def _route_until_fenced(self, epoch: Epoch) -> bool:
        """Route until `stop` or an alarm; return whether it is that another one has our name."""
        kafka = self._settings.kafka
        consumer = KafkaConsumer(
            kafka.bootstrap,
            epoch,
            kafka.group,
            name=self._name,
            session_seconds=self._settings.session_seconds,
        )
        feed = KafkaAnnouncements(self._log.producer, kafka.topic_events)
        self._router = make_router(
            RouterPorts(
                consumer,
                self._store,
                self._letters,
                feed,
                self.metrics,
                self._log,
                POLL_MAX_IN_A_CLUSTER,
            )
        )
        self._consumer = consumer
        await consumer.open()
        try:
            async with periodically("the live feed's heartbeat", feed.beat, HEARTBEAT_SECONDS):
                await self._router.run()
        finally:
            # One that has stopped with an alarm does not come back to its partitions either.
            is_told = self._stopping.is_set()
            await consumer.close(leaving=self._settings.leaves or not is_told)
        return consumer.is_fenced and not is_told


async def _is_free(group: KafkaGroup, name: str) -> bool:
    try:
        return not await group.has_named(name)
    except Unavailable:
        return False


def default_name(host: str, port: int) -> str:
    """Return the name of a router without a setting for it: two of a host have different ports."""
    return f"{re.sub('[^A-Za-z0-9._-]', '-', host)}-{port}"
