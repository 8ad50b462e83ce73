"""The metadata service's ASGI application."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from fastapi import APIRouter
from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.http.assembling import assemble
from chat4all.http.bound import Bound
from chat4all.http.docs import make_app
from chat4all.http.edge import Edge
from chat4all.http.fast_routes import FastRoute
from chat4all.http.frame import RequestMeter
from chat4all.http.health import health_routes
from chat4all.http.limits import Limits
from chat4all.http.rates import RouteRates
from chat4all.metadata.conversations import conversation_routes
from chat4all.metadata.members import member_routes
from chat4all.metadata.users import user_routes
from chat4all.ports.health import Ping
from chat4all.usecases.listing import Listing
from chat4all.usecases.membership import Membership
from chat4all.usecases.profiles import Profiles
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.signing_up import SigningUp
from chat4all.wire.internal import PATH as INTERNAL_PATH

DESCRIPTION = """
Users, conversations and their members. The gateway has these routes too, and signing in as well:
`POST /token` on its page `/docs` answers with an access token. Press *Authorize* here to enter it.
"""


@dataclass(frozen=True, slots=True)
class MetadataUseCases:
    """What the metadata service's routes do."""

    signing_in: SigningIn
    signing_up: SigningUp
    profiles: Profiles
    membership: Membership
    listing: Listing


def metadata_routes() -> Sequence[APIRouter]:
    """Return the service's routes, for its own application or for a gateway that serves them."""
    return [user_routes(), conversation_routes(), member_routes()]


def metadata_uses(use_cases: MetadataUseCases, limits: Limits) -> Bound:
    """Return what the endpoints of these routes use."""
    return {
        SigningIn: use_cases.signing_in,
        SigningUp: use_cases.signing_up,
        Profiles: use_cases.profiles,
        Membership: use_cases.membership,
        Listing: use_cases.listing,
        Limits: limits,
        RouteRates: RouteRates(limits),
    }


def metadata_app(
    routes: Sequence[APIRouter],
    pings: Mapping[str, Ping],
    meter: RequestMeter,
    edge: Edge,
    uses: Bound = MappingProxyType({}),
    internal: ASGIApp | None = None,
) -> ASGIApp:
    """Return the metadata service; `internal` serves gateways in other processes.

    `uses` is what the endpoints of `routes` use.
    """
    app, pages = make_app(
        "Chat4All metadata",
        DESCRIPTION,
        __version__,
    )
    return assemble(
        app,
        [*routes, health_routes(pings)],
        meter=meter,
        edge=edge,
        pages=pages,
        uses=uses,
        fast=[] if internal is None else [FastRoute(INTERNAL_PATH + "{name}", None, internal)],
    )
