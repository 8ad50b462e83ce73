"""Rate limits: kept in memory, and reported in every answer of the routes that have one.

Each limit is a bucket that holds `quota` requests and fills up evenly within `seconds`. The headers
are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "send";q=200;w=4` says what
the bucket holds and in how many seconds it fills, `RateLimit: "send";r=199;t=1` what is left and
after how many seconds there will be more.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from ipaddress import IPv6Address, ip_address
from math import ceil

from starlette.types import Scope

from chat4all.domain.acting import ADDRESS_MAX
from chat4all.domain.errors import NotSignedIn, TooMany
from chat4all.http.frame import add_headers

KEYS_MAX = 50_000
"""Users or addresses that one limit keeps: some 10 MB. The least recent one is dropped first."""

SEND_BURST_SECONDS = 4
MARK_BURST_SECONDS = 30
SIGN_IN_ACCOUNT = (10, 300)
SIGN_IN_ADDRESS = (60, 60)
REFRESH = (30, 300)
CHANGE = (300, 60)
ACCOUNT = (60, 60)
FIND = (200, 20)
LIST = (1_000, 50)
FRAMES = (500, 5)
UPLOAD = (1_200, 60)
DOWNLOAD = (1_200, 60)

Clock = Callable[[], float]


class Limit:
    """One limit, counted separately for each key (a user, an address).

    It is the generic cell rate algorithm: one number for each key, the time at which its bucket is
    full again. `clock` is monotonic, in seconds. Each process counts for itself.
    """

    def __init__(
        self,
        name: str,
        quota: int,
        seconds: int,
        *,
        clock: Clock = time.monotonic,
        keys_max: int = KEYS_MAX,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._each = seconds / quota
        self._clock = clock
        self._keys_max = keys_max
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._accounts: set[str] = set()
        """Which of these keys are users whose password was guessed wrong: others are not logged."""
        self._policy = (b"ratelimit-policy", f'"{name}";q={quota};w={seconds}'.encode())
        self._left = f'"{name}";r=%d;t={ceil(self._each)}'.encode()

    def take(self, scope: Scope, key: str) -> None:
        """Count one request of `key`, and report what is left in the answer to it.

        Raises `TooMany` when there is nothing left; that request is not counted.
        """
        self._report(scope, self._take(scope, key))

    @contextmanager
    def count_failures(self, scope: Scope, key: str, failure: type[Exception]) -> Iterator[None]:
        """Count a request, but give it back unless this context raises `failure`.

        It is counted first, so that many at once do not pass together.
        """
        left = self._take(scope, key)
        try:
            yield
        except failure as error:
            if isinstance(error, NotSignedIn) and error.account == key and key in self._full_at:
                self._accounts.add(key)
            raise
        except BaseException:
            left += self._give_back(key)
            raise
        else:
            left += self._give_back(key)
        finally:
            self._report(scope, left)

    def forget(self, key: str) -> None:
        """Drop what was counted of a key that will not be used again."""
        self._full_at.pop(key, None)
        self._accounts.discard(key)

    def _take(self, scope: Scope, key: str) -> int:
        """Return how many are left after this one."""
        now, full_at = self._clock(), self._full_at
        until_full = max(full_at.get(key, now) - now, 0.0) + self._each
        spare = self._seconds - until_full
        # Rounding may leave a bucket just short of a whole request.
        if spare < -1e-6:
            self._report(scope, 0)
            account = key if key in self._accounts else None
            raise TooMany(f"too many requests ({self._name}); try again later", -spare, account)
        full_at[key] = now + until_full
        full_at.move_to_end(key)
        if len(full_at) > self._keys_max:
            dropped, _ = full_at.popitem(last=False)
            self._accounts.discard(dropped)
        return int(spare / self._each + 1e-6)

    def _give_back(self, key: str) -> int:
        if key in self._full_at:
            self._full_at[key] -= self._each
        return 1

    def _report(self, scope: Scope, left: int) -> None:
        add_headers(scope, self._policy, (b"ratelimit", self._left % left))


class NoLimit(Limit):
    """Lets everything through and reports nothing."""

    def __init__(self) -> None:
        super().__init__("none", 1, 1)

    def take(self, scope: Scope, key: str) -> None:
        """Let it through."""

    @contextmanager
    def count_failures(
        self,
        scope: Scope,  # noqa: ARG002 - part of the interface
        key: str,  # noqa: ARG002
        failure: type[Exception],  # noqa: ARG002
    ) -> Iterator[None]:
        """Let it through."""
        yield


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit there is."""

    send: Limit
    """By user."""
    sign_up: Limit
    """By address."""
    sign_in_account: Limit
    """Failed attempts, by account: a password may be guessed from many addresses."""
    sign_in_address: Limit
    """By address: each attempt takes a quarter of a second of CPU time."""
    refresh: Limit
    """By device: each refresh is a write."""
    start: Limit
    """By user: conversations, which stay."""
    change: Limit
    """By user: of conversations and their members."""
    mark: Limit
    """By user: read markers, each a record of the log."""
    account: Limit
    """By session: of oneself, and of one's sessions."""
    find: Limit
    """By user: searches for users."""
    list: Limit
    """By user: lists that may be long."""
    frames: Limit
    """By WebSocket: frames of any kind that a client sends."""
    upload: Limit
    """By user: requests that upload files, each with as many bytes as it likes."""
    download: Limit
    """By user: files, and parts of them."""


def make_limits(
    *,
    send_per_second: int,
    sign_ups_per_hour: int,
    reads_per_second: int,
    conversations_per_hour: int,
    clock: Clock = time.monotonic,
) -> Limits:
    """Return the limits; `clock` is for tests."""
    send = (send_per_second * SEND_BURST_SECONDS, SEND_BURST_SECONDS)
    mark = (reads_per_second * MARK_BURST_SECONDS, MARK_BURST_SECONDS)
    return Limits(
        send=Limit("send", *send, clock=clock),
        sign_up=Limit("sign-up", sign_ups_per_hour, 3600, clock=clock),
        sign_in_account=Limit("sign-in-account", *SIGN_IN_ACCOUNT, clock=clock),
        sign_in_address=Limit("sign-in-address", *SIGN_IN_ADDRESS, clock=clock),
        refresh=Limit("refresh", *REFRESH, clock=clock),
        start=Limit("start-conversation", conversations_per_hour, 3600, clock=clock),
        change=Limit("change", *CHANGE, clock=clock),
        mark=Limit("mark-read", *mark, clock=clock),
        account=Limit("account", *ACCOUNT, clock=clock),
        find=Limit("find", *FIND, clock=clock),
        list=Limit("list", *LIST, clock=clock),
        frames=Limit("frames", *FRAMES, clock=clock),
        upload=Limit("upload", *UPLOAD, clock=clock),
        download=Limit("download", *DOWNLOAD, clock=clock),
    )


def no_limits() -> Limits:
    """Return limits that limit nothing, for measurements."""
    return Limits(**{field.name: NoLimit() for field in fields(Limits)})


def client_of(scope: Scope) -> str:
    """Return the address that a request came from: the connection's, or a trusted proxy's word."""
    client = scope.get("client")
    return str(client[0])[:ADDRESS_MAX] if client else ""


def address_of(scope: Scope) -> str:
    """Return the key that a request's client address is counted under.

    Of an IPv6 address only the /64 network counts: one subscriber has all its addresses.
    """
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ip_address(host)
    except ValueError:
        return str(host[:64])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return address.packed[:8].hex()
        address = address.ipv4_mapped
    return str(address)
