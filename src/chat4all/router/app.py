"""A router's HTTP application, where it runs as a service of its own: health and metrics."""

from collections.abc import Mapping

from fastapi import FastAPI
from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.http.assembling import assemble
from chat4all.http.edge import Edge
from chat4all.http.health import health_routes
from chat4all.http.metrics import Meter, Source, metrics_routes
from chat4all.ports.health import Ping


def router_app(pings: Mapping[str, Ping], meter: Meter, metrics: Source) -> ASGIApp:
    """Return the application; `metrics` are the router's own, `meter` counts requests."""
    app = FastAPI(title="Chat4All router", version=__version__, docs_url=None, redoc_url=None)
    routers = [
        health_routes(pings),
        metrics_routes(meter.text, [metrics], failed=meter.source_failed),
    ]
    return assemble(app, routers, meter=meter, edge=Edge())
