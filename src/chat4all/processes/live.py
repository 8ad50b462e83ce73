"""Live delivery of a gateway, made from its ports and use cases."""

from chat4all.gateway.app import GatewayUseCases
from chat4all.gateway.live.admitting import Admission
from chat4all.gateway.live.delivering import Delivery
from chat4all.gateway.live.followers import Followers
from chat4all.gateway.live.framing import text_frame
from chat4all.gateway.live.hearing import Hearing
from chat4all.gateway.live.hints import MembershipHints
from chat4all.gateway.live.hub import Hub
from chat4all.gateway.live.live import Live
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.next_runs import NextRuns
from chat4all.gateway.live.presence import Presence
from chat4all.gateway.live.receiving import Received
from chat4all.gateway.live.resuming import Resuming
from chat4all.gateway.live.socket_client import ClientParts
from chat4all.gateway.live.streams import events_route
from chat4all.gateway.live.typing_members import TypingMembers
from chat4all.gateway.live.watching import Watching
from chat4all.processes.parts import GatewayPorts, StorePorts
from chat4all.usecases.public_names import PublicNames


def make_live(
    ports: GatewayPorts, store: StorePorts, use_cases: GatewayUseCases, names: PublicNames
) -> Live:
    """Return live delivery, which listens to the feed and to the directory's changes from now on.

    It delivers without being run; `Live.running` finds what was lost, and ends sessions.
    """
    people, followers = ports.people, Followers()
    members = PresentMembers(people.directory)
    runs = NextRuns(members, use_cases.reading, store, names)
    delivery = Delivery(followers, members, runs)
    hub = Hub(use_cases.versions, followers, delivery.deliver, store.activity, store.read_by)
    admission = Admission(
        hub, followers, delivery, members, people.memberships, store, people.sessions
    )
    resuming = Resuming(hub, delivery, runs, admission, members, people.memberships, store)
    others = None if ports.is_only_gateway else ports.announcements
    presence = Presence(followers, others, use_cases.versions.is_heard)
    watching = Watching(presence, members, people.memberships)
    hints = MembershipHints(followers, ports.changes.poll)
    ports.feed.listen(Hearing(hub, presence, hints))
    ports.changes.add_listener(admission)
    ports.changes.add_listener(watching)
    return Live(
        hub,
        admission,
        Received(delivery, use_cases.delivered),
        ClientParts(
            use_cases.signing_in,
            use_cases.sending,
            use_cases.changing,
            use_cases.marking,
            ports.policy.limits,
            followers,
            resuming,
            TypingMembers(members, ports.announcements),
            watching,
            hints,
            ports.meter.accepted,
            for_sockets,
            ports.generation,
        ),
        [
            events_route(
                use_cases.signing_in,
                use_cases.reading,
                followers,
                resuming,
                ports.generation,
                ports.policy.limits.list,
            )
        ],
    )


def for_sockets(payload: bytes, _position: str) -> bytes:
    """Return a frame as sockets carry it; see `Wrap`."""
    return text_frame(payload)
