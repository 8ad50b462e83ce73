"""What every HTTP service puts together in the same way."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from chat4all.http.bodies import BodyLimit
from chat4all.http.bound import Bound, bind
from chat4all.http.edge import Edge, with_edge
from chat4all.http.fast_routes import FastRoute, FastRoutes
from chat4all.http.frame import RequestMeter
from chat4all.http.openapi import complete_openapi
from chat4all.http.problems import install_problems


def assemble(
    app: FastAPI,
    routers: Sequence[APIRouter],
    *,
    meter: RequestMeter,
    edge: Edge,
    pages: Mapping[str, str] = MappingProxyType({}),
    uses: Bound = MappingProxyType({}),
    fast: Sequence[FastRoute] = (),
    operations: Mapping[tuple[str, str], dict[str, Any]] | None = None,
) -> ASGIApp:
    """Return the service that answers the `fast` routes first, then those of the routers.

    `uses` is what the endpoints of the routers use. `operations` describe fast routes; see
    `complete_openapi`. `pages` has the Content Security Policies of pages, by their
    paths.
    """
    # A redirect would name the host that the request claims, and lose a POST's body.
    app.router.redirect_slashes = False
    bind(app, uses)
    routes = [route for router in routers for route in router.routes]
    install_problems(app, [*app.routes, *routes])
    # Not `include_router`: it would analyse each route again, for this application.
    app.router.routes.extend(routes)
    complete_openapi(app, operations)
    served: ASGIApp = BodyLimit(app, routers)
    if fast:
        served = FastRoutes(fast, served)
    return with_edge(served, edge, meter, pages=pages)
