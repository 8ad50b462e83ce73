"""The gateway's ASGI application."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.gateway.history import history_routes
from chat4all.gateway.marking import marking_routes
from chat4all.gateway.pages import Pages, PagesFirst
from chat4all.gateway.sending import SEND_OPERATION, SEND_PATH, SendEndpoint, Shortcut
from chat4all.gateway.signing_in import signing_in_routes
from chat4all.ports import Directory
from chat4all.usecases.marking import Marking
from chat4all.usecases.reading import Reading
from chat4all.usecases.sending import Sending
from chat4all.usecases.signing_in import SigningIn
from chat4all.web.bearer import authenticator
from chat4all.web.bodies import BodyLimit
from chat4all.web.docs import complete_openapi
from chat4all.web.health import Ping, health_routes
from chat4all.web.problems import install_problems
from chat4all.web.request_id import RequestIds
from chat4all.wire.shapes import Accepted, MarkRead, MessageView, SendMessage

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
    pages: Pages,
    directory: Directory,
    pings: Mapping[str, Ping],
    others: Sequence[APIRouter] = (),
) -> ASGIApp:
    """Return the gateway. `others` are routes of another service that it serves as well."""
    app = FastAPIOffline(
        title="Chat4All",
        version=__version__,
        description=DESCRIPTION,
        redoc_url=None,
    )
    install_problems(app)
    caller = authenticator(signing_in)
    app.include_router(signing_in_routes(signing_in, caller))
    app.include_router(history_routes(reading, pages, caller))
    app.include_router(marking_routes(marking, caller))
    for router in others:
        app.include_router(router)
    app.include_router(health_routes(pings))
    complete_openapi(
        app, [SendMessage, Accepted, MessageView, MarkRead], {(SEND_PATH, "post"): SEND_OPERATION}
    )
    send = SendEndpoint(signing_in, sending)
    lean = Shortcut(SEND_PATH, "POST", send, otherwise=BodyLimit(app))
    return RequestIds(PagesFirst(pages, signing_in, directory, otherwise=lean))
