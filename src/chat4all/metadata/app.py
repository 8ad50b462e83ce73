"""The metadata service's ASGI application."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.metadata.conversations import conversation_routes
from chat4all.metadata.users import user_routes
from chat4all.usecases.membership import Membership
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.signing_up import SigningUp
from chat4all.web.bearer import authenticator
from chat4all.web.bodies import BodyLimit
from chat4all.web.docs import complete_openapi
from chat4all.web.health import Ping, health_routes
from chat4all.web.problems import install_problems
from chat4all.web.request_id import RequestIds


def metadata_routes(
    signing_in: SigningIn, signing_up: SigningUp, membership: Membership
) -> Sequence[APIRouter]:
    """Return the service's routes, for its own application and for a gateway that serves them."""
    caller = authenticator(signing_in)
    return [user_routes(signing_up), conversation_routes(membership, caller)]


def make_metadata(routes: Sequence[APIRouter], pings: Mapping[str, Ping]) -> ASGIApp:
    """Return the metadata service."""
    app = FastAPIOffline(
        title="Chat4All metadata",
        version=__version__,
        description="Users, conversations and their members. The gateway has these routes too.",
        redoc_url=None,
    )
    install_problems(app)
    for router in routes:
        app.include_router(router)
    app.include_router(health_routes(pings))
    complete_openapi(app, [], {})
    return RequestIds(BodyLimit(app))
