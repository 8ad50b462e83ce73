"""Limits: how much they let through, what they answer, and how little they keep."""

from typing import Any

import pytest

from chat4all.domain.errors import NotSignedIn, TooMany, Unavailable
from chat4all.http.limits import Limit, address_of, no_limits
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


def take(limit: Limit, key: str = "bruno") -> dict[str, str]:
    """Take one and return what the answer says."""
    scope: dict[str, Any] = {}
    limit.take(scope, key)
    return {name.decode(): value.decode() for name, value in scope["chat4all.headers"]}


def how_many(limit: Limit, key: str = "bruno") -> int:
    count = 0
    while True:
        try:
            limit.take({}, key)
        except TooMany:
            return count
        count += 1


def test_a_burst_then_an_even_rate(clock: Clock) -> None:
    limit = Limit("send", 200, 4, clock=clock)
    assert how_many(limit) == 200
    assert how_many(limit) == 0
    for _ in range(100):
        clock.now += 0.02
        assert how_many(limit) == 1
    clock.now += 1
    assert how_many(limit) == 50
    clock.now += 3600
    assert how_many(limit) == 200
    assert how_many(limit, "ana") == 200


def test_what_is_reported_holds(clock: Clock) -> None:
    limit = Limit("sign-up", 3, 3600, clock=clock)
    assert take(limit) == {
        "ratelimit-policy": '"sign-up";q=3;w=3600',
        "ratelimit": '"sign-up";r=2;t=1200',
    }
    take(limit)
    assert take(limit)["ratelimit"] == '"sign-up";r=0;t=1200'
    clock.now += 200
    scope: dict[str, Any] = {}
    with pytest.raises(TooMany) as refused:
        limit.take(scope, "bruno")
    assert dict(scope["chat4all.headers"])[b"ratelimit"] == b'"sign-up";r=0;t=1200'
    assert refused.value.retry_after == pytest.approx(1000)
    clock.now += refused.value.retry_after - 1
    assert how_many(limit) == 0
    clock.now += 1
    assert how_many(limit) == 1


def test_only_failures_are_counted(clock: Clock) -> None:
    limit = Limit("sign-in", 2, 60, clock=clock)

    def attempt(raises: Exception | None) -> str:
        scope: dict[str, Any] = {}
        try:
            with limit.count_failures(scope, "bruno", NotSignedIn):
                if raises:
                    raise raises
        except (NotSignedIn, Unavailable):
            pass
        return str(dict(scope["chat4all.headers"])[b"ratelimit"].decode())

    for _ in range(5):
        assert attempt(None) == '"sign-in";r=2;t=30'
        assert attempt(Unavailable("x")) == '"sign-in";r=2;t=30'
    assert attempt(NotSignedIn("x")) == '"sign-in";r=1;t=30'
    # Those that are still being tried count until it is known how they end.
    with limit.count_failures({}, "bruno", NotSignedIn), pytest.raises(TooMany):
        attempt(None)
    attempt(NotSignedIn("x"))
    with pytest.raises(TooMany):
        attempt(None)


def test_keys_are_bounded(clock: Clock) -> None:
    limit = Limit("send", 1, 60, clock=clock, keys_max=100)
    for number in range(1000):
        limit.take({}, str(number))
    assert len(limit._full_at) == 100
    assert how_many(limit, "999") == 0
    assert how_many(limit, "0") == 1


def test_accounts_are_bounded_as_keys_are(clock: Clock) -> None:
    limit = Limit("sign-in", 1, 60, clock=clock, keys_max=100)

    def guess(name: str, account: str | None) -> None:
        with limit.count_failures({}, name, NotSignedIn):
            raise NotSignedIn("wrong", account)

    for number in range(1000):
        with pytest.raises(NotSignedIn):
            guess(str(number), str(number))
        with pytest.raises(NotSignedIn):
            guess(f"nobody {number}", None)
    assert limit._accounts == {str(number) for number in range(950, 1000)}
    for name, named in (("999", "999"), ("nobody 999", None)):
        with pytest.raises(TooMany) as told:
            guess(name, None)
        assert told.value.account == named


def test_no_limits_let_everything_through() -> None:
    limits, scope = no_limits(), dict[str, Any]()
    for _ in range(1000):
        limits.send.take(scope, "bruno")
        with (
            pytest.raises(NotSignedIn),
            limits.sign_in_account.count_failures(scope, "b", NotSignedIn),
        ):
            raise NotSignedIn("x")
    assert scope == {}


def test_addresses_of_one_subscriber_share_a_key() -> None:
    def of(host: str) -> str:
        return address_of({"client": (host, 5)})

    assert of("192.0.2.1") == of("::ffff:192.0.2.1") != of("192.0.2.2")
    assert of("2001:db8::1") == of("2001:db8::ffff:1") != of("2001:db8:0:1::1")
    assert of("2001:db8::1") == of("2001:db8:0:0:ff00::1")
    assert of("x" * 1000) == "x" * 64
    assert address_of({"client": None}) == address_of({}) == ""
