"""The frozen values that `apps` makes applications from: ports, policy, pings, meters.

That of a router is in `router_parts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from chat4all.ports.directory import Conversations, Members, Memberships
from chat4all.ports.feed import LiveFeed
from chat4all.ports.health import Ping
from chat4all.ports.history import ConversationHeads, History
from chat4all.ports.log import MessageLog
from chat4all.ports.security import Passwords, Tokens
from chat4all.ports.sessions import Sessions
from chat4all.ports.summaries import ConversationSummaries
from chat4all.ports.users import Aliases, Credentials, Registrations, Users

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from chat4all.http.metrics import GatewayMeter, Meter, Source
    from chat4all.processes.policy import Policy
    from chat4all.usecases.versions import ConversationVersions


class UserPorts(Registrations, Credentials, Users, Aliases, Protocol):
    """All that is asked about users, where one adapter answers it."""


class DirectoryPorts(Members, Conversations, Protocol):
    """All that is asked about conversations, where one adapter answers it."""


class StorePorts(ConversationHeads, History, ConversationSummaries, Protocol):
    """All that readers ask of the store, where one adapter answers it."""


@dataclass(frozen=True, slots=True)
class PeoplePorts:
    """Users, conversations and sessions, whatever answers for them."""

    users: UserPorts
    directory: DirectoryPorts
    memberships: Memberships
    sessions: Sessions


@dataclass(frozen=True, slots=True)
class SecurityPorts:
    """What signing in rests on."""

    passwords: Passwords
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class GatewayPorts:
    """A gateway's. `versions` are those that `feed` supersedes."""

    people: PeoplePorts
    security: SecurityPorts
    log: MessageLog
    store: StorePorts
    feed: LiveFeed
    versions: "ConversationVersions"
    policy: "Policy"
    pings: Mapping[str, Ping]
    meter: "GatewayMeter"
    other_metrics: "Sequence[Source]" = ()
    """Of processes that this one speaks for."""


@dataclass(frozen=True, slots=True)
class MetadataPorts:
    """A metadata service's. `internal` answers gateways that are other processes."""

    people: PeoplePorts
    security: SecurityPorts
    log: MessageLog
    heads: ConversationHeads
    summaries: ConversationSummaries
    policy: "Policy"
    pings: Mapping[str, Ping]
    meter: "Meter"
    internal: "ASGIApp | None" = None


@dataclass(frozen=True, slots=True)
class RouterServicePorts:
    """What a router that is a service of its own tells of itself."""

    pings: Mapping[str, Ping]
    meter: "Meter"
    metrics: "Source"
