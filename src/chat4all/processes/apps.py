"""READ FIRST: what each process is made of, whatever engines stand behind it.

    gateway   signing in, sending, reading, marking; it serves the metadata service's routes too
        asks  the log, the store, the directory; listens to the live feed
    metadata  signing up, profiles, conversations, members, lists
        asks  the directory; the log and the store for the markers of new members
    router    consume, plan, write, announce, commit
        asks  the log, the store; announces on the live feed

Each is made from one frozen value of ports (`parts`, `router_parts`). `one_machine` and `cluster`
fill that value with adapters and own their lifetimes; nothing else differs between the two.
"""

from typing import TYPE_CHECKING

from chat4all.router.loop import POLL_MAX, Router

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from chat4all.gateway.app import Gateway
    from chat4all.gateway.live.live import Live
    from chat4all.processes.parts import GatewayPorts, MetadataPorts, RouterServicePorts
    from chat4all.processes.router_parts import RouterPorts

# Imports of what answers HTTP are in the functions, and `parts` is for types only: the router's
# process on one machine is forked while little is loaded, and needs `make_router` alone.


def make_gateway(ports: "GatewayPorts") -> "tuple[Gateway, Live]":
    """Return the gateway and its live delivery, which listens to the feed from now on."""
    from chat4all.concurrency.pacing import Pace
    from chat4all.gateway.app import GatewayUseCases, gateway_app
    from chat4all.gateway.page.routes import page_routes
    from chat4all.http.metrics import metrics_routes
    from chat4all.processes.files import make_files
    from chat4all.processes.live import make_live
    from chat4all.processes.people import make_people
    from chat4all.usecases.attaching import Attaching
    from chat4all.usecases.changing import Changing
    from chat4all.usecases.delivered import Delivered
    from chat4all.usecases.reading import Reading
    from chat4all.usecases.sending import Sending
    from chat4all.usecases.urgent_log import UrgentLog
    from chat4all.usecases.versions import ConversationVersions, SupersededByAliases

    policy, meter, directory = ports.policy, ports.meter, ports.people.directory
    pace = Pace(ports.upload_rate)
    log, store = UrgentLog(meter.log(ports.log), pace), meter.reads(ports.store)
    versions = ConversationVersions(ports.feed.silence_seconds)
    ports.changes.add_listener(SupersededByAliases(versions))
    people = make_people(ports, log, store)
    attaching = Attaching(ports.people.files, ports.people.file_uses, ports.file_limits)
    sending = Sending(log, directory, store, attaching)
    use_cases = GatewayUseCases(
        people.signing_in,
        sending,
        Reading(store, directory, sending, versions, people.names),
        people.marking,
        Changing(log, store, directory, people.names, attaching),
        Delivered(log, store),
        versions,
    )
    live = make_live(ports, store, use_cases, people.names)
    files = make_files(ports, people.signing_in, pace)
    page = None
    if policy.has_page:
        page = page_routes(
            has_demonstration=ports.has_demonstration, sign_up_open=policy.sign_up_open
        )
    gateway = gateway_app(
        use_cases,
        limits=policy.limits,
        edge=policy.edge,
        pings=ports.pings.by_name(),
        meter=meter,
        make_client=live.client,
        others=[
            *people.routes,
            metrics_routes(meter.text, ports.other_metrics, failed=meter.source_failed),
        ],
        uses=people.uses,
        page=page,
        has_demonstration=ports.has_demonstration,
        fast=live.routes,
        files=files,
    )
    return gateway, live


def make_metadata(ports: "MetadataPorts") -> "ASGIApp":
    """Return the metadata service's application."""
    from chat4all.http.metrics import metrics_routes
    from chat4all.metadata import InternalEndpoint, metadata_app
    from chat4all.processes.people import make_people

    meter, endpoint = ports.meter, None
    people = make_people(ports, meter.log(ports.log), meter.reads(ports.store))
    if (internal := ports.internal) is not None:
        endpoint = InternalEndpoint(
            internal.credential, ports.people, internal.outbox, secret_proofs=internal.secret_proofs
        )
    return metadata_app(
        [*people.routes, metrics_routes(meter.text, failed=meter.source_failed)],
        pings=ports.pings.by_name(),
        meter=meter,
        edge=ports.policy.edge,
        uses=people.uses,
        internal=endpoint,
    )


def make_router(ports: "RouterPorts") -> Router:
    """Return a router, to be run."""
    meter = ports.meter
    return Router(
        meter.consumer(ports.consumer),
        meter.store(ports.store),
        meter.dead_letters(ports.dead_letters),
        meter.feed(ports.feed),
        ports.log,
        poll_max=ports.poll_max or POLL_MAX,
    )


def make_router_service(ports: "RouterServicePorts") -> "ASGIApp":
    """Return what a router that is a service of its own answers: health and metrics."""
    from chat4all.router.app import router_app

    return router_app(ports.pings.by_name(), ports.meter, ports.metrics)
