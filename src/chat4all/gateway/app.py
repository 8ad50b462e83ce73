"""The gateway's ASGI application."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from fastapi import APIRouter
from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.gateway.changing import changing_routes
from chat4all.gateway.fast_history import fast_history_route
from chat4all.gateway.files.describing import FILE_OPERATIONS
from chat4all.gateway.files.direct import direct_routes
from chat4all.gateway.files.filing import Filing
from chat4all.gateway.files.links import link_routes
from chat4all.gateway.files.own_files import own_files_routes
from chat4all.gateway.history import history_routes
from chat4all.gateway.live.describing import PAGE_PATH, describing_routes
from chat4all.gateway.live.page import POLICY
from chat4all.gateway.live.sockets import LiveSockets, MakeClient
from chat4all.gateway.marking import marking_routes
from chat4all.gateway.page.routes import PAGE_PATH as CHAT_PATH
from chat4all.gateway.page.routes import POLICY as CHAT_POLICY
from chat4all.gateway.pages import Pages
from chat4all.gateway.sending import SEND_OPERATION, SEND_PATH, send_route
from chat4all.gateway.signing_in import signing_in_routes
from chat4all.http.assembling import assemble
from chat4all.http.bound import Bound
from chat4all.http.docs import make_app
from chat4all.http.edge import Edge, behind_proxies
from chat4all.http.fast_routes import FastRoute
from chat4all.http.health import health_routes
from chat4all.http.limits import Limits
from chat4all.http.metrics import GatewayMeter
from chat4all.http.rates import RouteRates
from chat4all.http.server.upgrading import Upgrade
from chat4all.ports.health import Ping
from chat4all.usecases.changing import Changing
from chat4all.usecases.delivered import Delivered
from chat4all.usecases.marking import Marking
from chat4all.usecases.reading import Reading
from chat4all.usecases.sending import Sending
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.versions import ConversationVersions

DESCRIPTION = """
Send with `POST /v1/messages`, read with `GET /v1/conversations/{id}/messages`.

**202 means durable**: the message is on the disk and will appear exactly once, in the same place
for every reader. **503** while sending means that the outcome is unknown: retry with the
`message_id` of the answer.

**Pages of a history.** Every message has a `seq`: 1, 2, 3 … in its conversation. `before=<seq>`
is the page that ends below it, `after=<seq>` the one that begins above it, `around=<seq>` the one
with the message itself in its middle; without any of them it is the newest page. `Link` has the
addresses of the pages beside it.

**Read markers.** Sending moves your own marker to your message: all before it counts as read by
you. A program that has not read says `"mark_read": false`.

**Changes.** A message can be edited, deleted and reacted to. A change is accepted with a
`change_id` as a message is with its `message_id`, and is made once. Changes are numbered beside the
messages: `Chat4All-Position`, `<seq>.<change>`, says how far a page goes.

**Live.** `GET /v1/live` is a WebSocket that tells what happens: [its frames](/docs/live), for
programs `/asyncapi.json`.

**Text** is kept in Unicode's normal form C, and its length is counted in it. It has to show
something, and has no control characters; line breaks and tabs are for messages and notes.

**Errors** are `application/problem+json` (RFC 9457). `type` stays the same and can be opened; 422
names every broken field in `errors`.
"""


@dataclass(frozen=True, slots=True)
class GatewayUseCases:
    """What the gateway's own routes do. `versions` say which cached answers are still valid."""

    signing_in: SigningIn
    sending: Sending
    reading: Reading
    marking: Marking
    changing: Changing
    delivered: Delivered
    versions: ConversationVersions


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway: its application, what takes over connections that become WebSockets, and files."""

    app: ASGIApp
    upgrade: Upgrade
    files: Filing


def gateway_app(
    use_cases: GatewayUseCases,
    *,
    limits: Limits,
    edge: Edge,
    pings: Mapping[str, Ping],
    meter: GatewayMeter,
    make_client: MakeClient,
    files: Filing,
    others: Sequence[APIRouter] = (),
    uses: Bound = MappingProxyType({}),
    page: APIRouter | None = None,
    has_demonstration: bool = False,
    fast: Sequence[FastRoute] = (),
) -> Gateway:
    """Return the gateway. `others` are routes of another service that it serves too, with `uses`.

    `make_client` returns what is behind each WebSocket. `fast` are further routes that are answered
    before FastAPI. `page` is the chat page, if `/` is to show it. `has_demonstration`: its page of
    documentation tells of the demonstration accounts.
    """
    sockets = LiveSockets(
        make_client,
        origins=edge.cors_origins,
        frames=limits.frames,
        put_client=behind_proxies(edge),
    )
    meter.watch_sockets(sockets.counts)
    app, pages = make_app(
        "Chat4All",
        DESCRIPTION,
        __version__,
        has_demonstration=has_demonstration,
        has_root=page is not None,
    )
    pages[PAGE_PATH] = POLICY
    routers = [
        signing_in_routes(),
        history_routes(),
        changing_routes(),
        marking_routes(),
        link_routes(),
        direct_routes(),
        own_files_routes(),
        describing_routes(),
        *others,
        health_routes(pings),
    ]
    if page is not None:
        routers.append(page)
        pages[CHAT_PATH] = CHAT_POLICY
    served = assemble(
        app,
        routers,
        meter=meter,
        edge=edge,
        pages=pages,
        uses={
            **uses,
            **files.uses,
            SigningIn: use_cases.signing_in,
            Reading: use_cases.reading,
            Marking: use_cases.marking,
            Changing: use_cases.changing,
            Delivered: use_cases.delivered,
            Limits: limits,
            RouteRates: RouteRates(limits),
        },
        fast=[
            sockets.route,
            send_route(use_cases.signing_in, use_cases.sending, limits.send, meter.accepted),
            fast_history_route(
                use_cases.signing_in,
                use_cases.reading,
                Pages(use_cases.versions),
                use_cases.delivered,
            ),
            *files.routes,
            *fast,
        ],
        operations={(SEND_PATH, "post"): SEND_OPERATION, **FILE_OPERATIONS},
    )
    return Gateway(served, sockets.upgrade, files)
