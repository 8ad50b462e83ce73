"""The frozen values that `apps` makes applications from: ports, policy, pings, meters.

That of a router is in `router_parts`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chat4all.concurrency.periodic import ping_background
from chat4all.domain.files import UPLOAD_RATE, FileLimits, Quota
from chat4all.http.metrics import GatewayMeter, Meter, Source
from chat4all.ports.blobs import Blobs
from chat4all.ports.dead_letters import DeadLetters
from chat4all.ports.feed import Announcements, LiveFeed
from chat4all.ports.files import Files
from chat4all.ports.generation import Generation
from chat4all.ports.health import Ping
from chat4all.ports.history import ChangedMessages, History, MarkedHeads, MessageVersions
from chat4all.ports.log import MessageLog
from chat4all.ports.outbox import Changes, Outbox
from chat4all.ports.people import PeoplePorts
from chat4all.ports.pictures import Pictures
from chat4all.ports.presigning import Presigning
from chat4all.ports.progress import LogProgress
from chat4all.ports.scanning import Scanner
from chat4all.ports.security import FileLinks, Passwords, Tokens
from chat4all.ports.summaries import ConversationSummaries
from chat4all.ports.transfers import TransferCounts
from chat4all.processes.policy import Policy


class StorePorts(
    MarkedHeads, History, ChangedMessages, MessageVersions, ConversationSummaries, Protocol
):
    """All that readers ask of the store, where one adapter answers it."""


class SignedTokens(Tokens, FileLinks, Protocol):
    """All that is signed with the same key."""


@dataclass(frozen=True, slots=True)
class SecurityPorts:
    """Password hashing and tokens."""

    passwords: Passwords
    tokens: SignedTokens


@dataclass(frozen=True, slots=True)
class Pings:
    """Those of the parts that a process has, each by the name that `/health/ready` gives it."""

    log: Ping | None = None
    store: Ping | None = None
    directory: Ping | None = None
    router: Ping | None = None
    live_feed: Ping | None = None
    secret_key: Ping | None = None
    files: Ping | None = None
    scanner: Ping | None = None
    background: Ping = ping_background

    def by_name(self) -> Mapping[str, Ping]:
        """Return the pings that are set, by name."""
        named = {
            "log": self.log,
            "store": self.store,
            "directory": self.directory,
            "router": self.router,
            "live feed": self.live_feed,
            "secret key": self.secret_key,
            "files": self.files,
            "scanner of files": self.scanner,
            "background work": self.background,
        }
        return {name: ping for name, ping in named.items() if ping is not None}


class EngineMeter(Protocol):
    """What is measured of the engines that a process asks."""

    def log(self, log: MessageLog) -> MessageLog:
        """Return the log, its appends timed."""
        ...

    def reads(self, store: StorePorts) -> StorePorts:
        """Return a store, its reads timed."""
        ...


class MetadataMeter(Meter, EngineMeter, Protocol):
    """The metrics of a metadata service."""


class FileMeter(Protocol):
    """What is measured of files."""

    def watch(self, counts: TransferCounts) -> None:
        """Report these from now on."""
        ...

    def blobs(self, blobs: Blobs) -> Blobs:
        """Return the store of files, timed."""
        ...

    def presigning(self, presigning: Presigning) -> Presigning:
        """Return the same store as it is asked for uploads straight to it, timed."""
        ...

    def scanner(self, scanner: Scanner) -> Scanner:
        """Return a scanner, its scans timed, and counted by what came of them."""
        ...

    def watch_unscanned(self, count: Callable[[], int]) -> None:
        """Call `count` for the files that wait for a scan whenever metrics are read."""
        ...

    def pictures(self, pictures: Pictures) -> Pictures:
        """Return pictures, those counted that are looked at, made, or refused."""
        ...

    def garbage(self, files: Files) -> Files:
        """Return files, those counted whose bytes are deleted."""
        ...


class GatewayProcessMeter(GatewayMeter, EngineMeter, Protocol):
    """The metrics of a gateway."""

    @property
    def files(self) -> FileMeter:
        """Return the metrics of files."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayPorts:
    """A gateway's. `changes` are those of what is cached of `people`."""

    people: PeoplePorts
    changes: Changes
    security: SecurityPorts
    log: MessageLog
    store: StorePorts
    feed: LiveFeed
    announcements: Announcements
    policy: Policy
    pings: Pings
    meter: GatewayProcessMeter
    generation: Generation
    pictures: Pictures
    letters: DeadLetters
    progress: LogProgress
    blobs: Blobs | None = None
    """The store of files; None where there is none."""
    file_limits: FileLimits = field(default_factory=FileLimits)
    quota: Quota = field(default_factory=Quota)
    upload_rate: int = UPLOAD_RATE
    presigning: Presigning | None = None
    """The store of files, for uploads straight to it; None where clients cannot reach it."""
    scanner: Scanner | None = None
    """What every file waits for; None where none is set up."""
    other_metrics: Sequence[Source] = ()
    """Metrics of other processes, which this one reports too."""
    has_demonstration: bool = False
    """Whether `/docs` tells of the demonstration accounts."""
    is_only_gateway: bool = False
    """Whether nobody has sockets but this process."""


@dataclass(frozen=True, slots=True)
class InternalPorts:
    """What the internal endpoint of a metadata service needs besides the people.

    `secret_proofs` prove which keys sign and verify its tokens; see `adapters.crypto.proof_of`.
    """

    credential: bytes = field(repr=False)
    outbox: Outbox
    secret_proofs: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class MetadataPorts:
    """A metadata service's. `internal` is for gateways that are other processes."""

    people: PeoplePorts
    security: SecurityPorts
    log: MessageLog
    store: StorePorts
    announcements: Announcements
    policy: Policy
    pings: Pings
    meter: MetadataMeter
    internal: InternalPorts | None = None


@dataclass(frozen=True, slots=True)
class RouterServicePorts:
    """What a router that is a service of its own tells of itself."""

    pings: Pings
    meter: Meter
    metrics: Source
