"""All WebSockets of one gateway: which are accepted, how many, and what is counted of them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from itertools import count

from starlette.types import Receive, Scope, Send

from chat4all.domain.errors import Chat4AllError, Overloaded
from chat4all.gateway.live.clients import Credentials, Nobody, SocketClient
from chat4all.gateway.live.codes import CloseCode
from chat4all.gateway.live.framing import text_frame
from chat4all.gateway.live.handshake import PATH, credentials_of, refusal_of, response_to
from chat4all.gateway.live.last_words import TOO_MANY_SOCKETS, again_seconds, too_many_sockets
from chat4all.gateway.live.socket import MakeClient, Shared, Socket
from chat4all.http.access_log import AccessLog
from chat4all.http.edge import Edge, behind_proxies
from chat4all.http.fast_routes import FastRoute
from chat4all.http.limits import FRAMES, Limit, address_of
from chat4all.http.problems import problem_response
from chat4all.http.server.open_files import files_for_sockets
from chat4all.ports.sockets import SocketCounts
from chat4all.wire.frames import Heartbeat, encode_frame

__all__ = [
    "Credentials",
    "LiveSockets",
    "MakeClient",
    "Socket",
    "SocketClient",
    "text_frame",
]

SOCKETS_MAX = 12_000
"""Open sockets of one process, of 7 to 15 KB each. Those that are idle make no room for others."""

ADDRESS_SHARE = 2
"""Half of all at most come from one address, which may be a proxy's or that of a whole office."""

REFUSED_SHARE = 4
"""A quarter as many in addition are told by a frame when to connect again, which pages can read;
further ones are refused before the handshake."""


class LiveSockets:
    """All sockets of one gateway.

    `upgrade` is for `Server(upgrade=…)`, which also sweeps them twice a second and ends them;
    `route` answers requests for a socket that are refused. `origins` are those whose pages may
    connect besides its own, or `*`.
    """

    def __init__(
        self,
        make_client: MakeClient,
        *,
        origins: Collection[str] = (),
        frames: Limit | None = None,
        put_client: Callable[[Scope], None] | None = None,
        sockets_max: int | None = None,
    ) -> None:
        self.counts = SocketCounts()
        self.route = FastRoute(PATH, "GET", self._answer)
        self._make_client = make_client
        self._origins = origins
        self._put_client = behind_proxies(Edge()) if put_client is None else put_client
        self._most = _sockets_max() if sockets_max is None else sockets_max
        self._by_address: Counter[str] = Counter()
        self._keys = count()
        self._access_log = AccessLog()
        self._shared = Shared(
            self._begin,
            text_frame(encode_frame(Heartbeat())),
            Limit("frames", *FRAMES) if frames is None else frames,
            self.counts,
            self._lost,
            lambda: asyncio.get_running_loop().time(),
        )

    def upgrade(self, scope: Scope) -> Socket | None:
        """Return the socket of a request for one; None to let `route` answer it."""
        if scope["path"] != PATH or scope["method"] != "GET" or self._refusal_of(scope):
            return None
        self._put_client(scope)
        key = str(next(self._keys))
        return Socket(self._shared, key, response_to(scope), credentials_of(scope))

    def _refusal_of(self, scope: Scope) -> Chat4AllError | None:
        if refusal := refusal_of(scope, self._origins):
            return refusal
        if self.counts.open >= self._most + self._most // REFUSED_SHARE:
            return _overloaded(TOO_MANY_SOCKETS, again_seconds())
        return None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Without a refusal: the connection could not be handed over, since the server ends, or
        # another request of the same connection is unanswered.
        error = self._refusal_of(scope) or _overloaded("connect again, by HTTP/1.1", 1)
        await problem_response(error, scope["path"])(scope, receive, send)

    def _begin(self, socket: Socket, credentials: Credentials) -> SocketClient:
        """Count a socket and return its client; one too many is closed."""
        address = address_of(credentials.scope)
        self.counts.open += 1
        self._by_address[address] += 1
        if self.counts.open > self._most or self._by_address[address] > self._most // ADDRESS_SHARE:
            socket.write(too_many_sockets())
            socket.close(CloseCode.TRY_LATER, TOO_MANY_SOCKETS)
            return Nobody()
        return self._make_client(socket, credentials)

    def _lost(self, socket: Socket) -> None:
        address = address_of(socket.scope)
        self.counts.open -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        is_clients = socket.is_closed_by_client
        known = socket.close_code in set(CloseCode)
        counted = "client" if is_clients else str(int(socket.close_code)) if known else "other"
        self.counts.closes[counted] += 1
        self._shared.frames.forget(socket.key)
        self._access_log.closed(
            socket.scope,
            socket.close_code,
            socket.close_reason,
            self._shared.clock() - socket.opened_at,
            by_client=is_clients,
        )


def _sockets_max() -> int:
    return int(min(SOCKETS_MAX, files_for_sockets() * REFUSED_SHARE / (REFUSED_SHARE + 1)))


def _overloaded(detail: str, retry_after: float) -> Overloaded:
    error = Overloaded(detail)
    error.retry_after = retry_after
    return error
