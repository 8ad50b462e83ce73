"""The gateway's ASGI application."""

from collections.abc import Callable, Mapping, Sequence

from fastapi import APIRouter
from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.gateway.history import HistoryEndpoint, history_routes
from chat4all.gateway.marking import marking_routes
from chat4all.gateway.pages import Pages
from chat4all.gateway.sending import SEND_OPERATION, SEND_PATH, SendEndpoint, Shortcut
from chat4all.gateway.signing_in import signing_in_routes
from chat4all.usecases.changes import Changes
from chat4all.usecases.marking import Marking
from chat4all.usecases.reading import Reading
from chat4all.usecases.sending import Sending
from chat4all.usecases.signing_in import SigningIn
from chat4all.web.bearer import authenticator
from chat4all.web.bodies import BodyLimit
from chat4all.web.docs import complete_openapi, make_app
from chat4all.web.edge import Edge, with_edge
from chat4all.web.frame import RequestMeter
from chat4all.web.health import Ping, health_routes
from chat4all.web.limits import Limits
from chat4all.web.problems import install_problems
from chat4all.wire.shapes import Accepted, MarkRead, MessageView, ReceiptView, SendMessage

DESCRIPTION = """
Send with `POST /v1/messages`, read with `GET /v1/conversations/{id}/messages`.

**202 means durable**: the message is on the disk and will appear exactly once, in the same place
for every reader. **503** while sending means that the outcome is unknown: retry with the
`message_id` of the answer.
"""


def make_gateway(
    *,
    signing_in: SigningIn,
    sending: Sending,
    reading: Reading,
    marking: Marking,
    changes: Changes,
    limits: Limits,
    pings: Mapping[str, Ping],
    meter: RequestMeter,
    accepted: Callable[[], None],
    edge: Edge,
    others: Sequence[APIRouter] = (),
) -> ASGIApp:
    """Return the gateway. `others` are routes of another service that it serves as well.

    `accepted` is called for every message that is answered with 202.
    """
    app, page_policy = make_app("Chat4All", DESCRIPTION, __version__)
    install_problems(app)
    caller = authenticator(signing_in)
    app.include_router(signing_in_routes(signing_in, limits, caller))
    app.include_router(history_routes(reading, caller))
    app.include_router(marking_routes(marking, reading, caller))
    for router in (*others, health_routes(pings)):
        app.include_router(router)
    complete_openapi(
        app,
        [SendMessage, Accepted, MessageView, MarkRead, ReceiptView],
        {(SEND_PATH, "post"): SEND_OPERATION},
    )
    send = SendEndpoint(signing_in, sending, limits.send, accepted)
    lean = Shortcut(SEND_PATH, "POST", send, otherwise=BodyLimit(app))
    history = HistoryEndpoint(signing_in, reading, Pages(changes), otherwise=lean)
    return with_edge(history, edge, meter, page_policy=page_policy)
