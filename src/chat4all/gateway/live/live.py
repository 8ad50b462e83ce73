"""Live delivery of one gateway, put together."""

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from chat4all.concurrency.keyed import KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.periodic import periodically
from chat4all.gateway.live.admitting import Admission
from chat4all.gateway.live.codes import CloseCode
from chat4all.gateway.live.connections import LiveCredentials, LiveSocket
from chat4all.gateway.live.hub import COMPARE_EVERY_SECONDS, Hub
from chat4all.gateway.live.lanes import Lane
from chat4all.gateway.live.receiving import Received
from chat4all.gateway.live.socket_client import ClientParts, LiveClient
from chat4all.http.fast_routes import FastRoute

CHECK_EVERY_SECONDS = 1.0
TICK_SECONDS = 1.0

CLIENTS_AT_ONCE = 10_000
"""Sockets whose frames are done at once: all of them, as requests are."""

_log = logging.getLogger(__name__)


class Live:
    """The sockets' clients, and the background work of live delivery."""

    def __init__(
        self,
        hub: Hub,
        admission: Admission,
        received: Received,
        parts: ClientParts,
        routes: Sequence[FastRoute] = (),
    ) -> None:
        self.hub = hub
        self.routes = routes
        """Of HTTP."""
        self._admission = admission
        self._received = received
        self._parts = parts
        self._clients: set[LiveClient] = set()
        self._generation: str | None = None
        outages = OutageLog(_log, "a client's frame failed")
        self._work = KeyedWork[LiveClient](LiveClient.do, outages, at_once=CLIENTS_AT_ONCE)
        self._lane_work = KeyedWork[Lane](Lane.do, outages, at_once=CLIENTS_AT_ONCE)

    def client(self, socket: LiveSocket, credentials: LiveCredentials) -> LiveClient:
        """Return the client of a new socket; it is told when the socket is closed."""
        client = LiveClient(
            self._parts, self._work, self._lane_work, socket, credentials, self._clients.discard
        )
        self._clients.add(client)
        return client

    def end_streams(self) -> None:
        """End the streams of events, whose clients connect again elsewhere.

        Those that are still signing in end once they have.
        """
        self._parts.followers.is_ending = True
        for follower in self._parts.followers.all():
            if follower.only is not None:
                follower.socket.close(CloseCode.RESTARTING)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do the background work while in this context; leaving it ends everything."""
        async with AsyncExitStack() as stack:
            for close in (self.hub.close, self._admission.close):
                stack.push_async_callback(close)
            stack.push_async_callback(self._parts.typing.close)
            stack.push_async_callback(self._parts.watching.close)
            stack.push_async_callback(self._parts.hints.close)
            stack.push_async_callback(self._parts.resuming.close)
            stack.push_async_callback(self._lane_work.close)
            stack.push_async_callback(self._work.close)
            await stack.enter_async_context(
                periodically(
                    "comparing live conversations", self.hub.compare, COMPARE_EVERY_SECONDS
                )
            )
            await stack.enter_async_context(self._received.running())
            await stack.enter_async_context(
                periodically("telling who is online", self._parts.watching.tick, TICK_SECONDS)
            )
            await stack.enter_async_context(
                periodically("checking live sessions", self.check, CHECK_EVERY_SECONDS)
            )
            yield

    async def check(self) -> None:
        """Close the connections whose token has expired, or never came.

        And all, once the store is of another generation than they were told of.
        """
        for follower in self._parts.followers.all():
            if follower.session.expires_at <= time.time():
                follower.socket.close(CloseCode.NOT_SIGNED_IN, "the token has expired")
        now = time.monotonic()
        for client in tuple(self._clients):
            client.check(now)
        before, self._generation = self._generation, await self._parts.generation.current()
        if before not in (None, self._generation):
            await self._begin_anew()

    async def _begin_anew(self) -> None:
        """Close every connection: its positions mean nothing any more (EXACTNESS 20h).

        Nothing is left of what was known of their conversations: their numbers may be lower now.
        """
        _log.warning("the store has another generation: all live connections begin anew")
        for follower in self._parts.followers.all():
            self._parts.resuming.forget(follower)
            self._parts.followers.leave(follower)
            follower.socket.close(CloseCode.RESTARTING, "the store was restored")
        self._received.forget()
        self._parts.marking.forget()
        self.hub.lost()
