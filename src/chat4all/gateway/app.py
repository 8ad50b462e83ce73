"""The gateway's ASGI application."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.gateway.history import HistoryEndpoint, history_routes
from chat4all.gateway.marking import marking_routes
from chat4all.gateway.pages import Pages
from chat4all.gateway.sending import SEND_OPERATION, SEND_PATH, SendEndpoint, Shortcut
from chat4all.gateway.signing_in import signing_in_routes
from chat4all.http.bearer import authenticator
from chat4all.http.bodies import BodyLimit
from chat4all.http.docs import complete_openapi, make_app
from chat4all.http.edge import Edge, with_edge
from chat4all.http.health import health_routes
from chat4all.http.limits import Limits
from chat4all.http.metrics import GatewayMeter
from chat4all.http.problems import install_problems
from chat4all.ports.health import Ping
from chat4all.usecases.marking import Marking
from chat4all.usecases.reading import Reading
from chat4all.usecases.sending import Sending
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.versions import ConversationVersions
from chat4all.wire.messages import Accepted, MarkRead, MessageView, ReceiptView, SendMessage

DESCRIPTION = """
Send with `POST /v1/messages`, read with `GET /v1/conversations/{id}/messages`.

**202 means durable**: the message is on the disk and will appear exactly once, in the same place
for every reader. **503** while sending means that the outcome is unknown: retry with the
`message_id` of the answer.
"""


@dataclass(frozen=True, slots=True)
class GatewayUseCases:
    """What the gateway's own routes do. `versions` say which answers may be used again."""

    signing_in: SigningIn
    sending: Sending
    reading: Reading
    marking: Marking
    versions: ConversationVersions


def gateway_app(
    does: GatewayUseCases,
    *,
    limits: Limits,
    edge: Edge,
    pings: Mapping[str, Ping],
    meter: GatewayMeter,
    others: Sequence[APIRouter] = (),
) -> ASGIApp:
    """Return the gateway. `others` are routes of another service that it serves as well."""
    app, page_policy = make_app("Chat4All", DESCRIPTION, __version__)
    install_problems(app)
    caller = authenticator(does.signing_in)
    app.include_router(signing_in_routes(does.signing_in, limits, caller))
    app.include_router(history_routes(does.reading, caller))
    app.include_router(marking_routes(does.marking, does.reading, caller))
    for router in (*others, health_routes(pings)):
        app.include_router(router)
    complete_openapi(
        app,
        [SendMessage, Accepted, MessageView, MarkRead, ReceiptView],
        {(SEND_PATH, "post"): SEND_OPERATION},
    )
    send = SendEndpoint(does.signing_in, does.sending, limits.send, meter.accepted)
    lean = Shortcut(SEND_PATH, "POST", send, fallback=BodyLimit(app))
    pages = Pages(does.versions)
    history = HistoryEndpoint(does.signing_in, does.reading, pages, fallback=lean)
    return with_edge(history, edge, meter, page_policy=page_policy)
