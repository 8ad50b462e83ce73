"""Passwords, tokens and the secret."""

import asyncio
import base64
import errno
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import jwt
import pytest

from chat4all.adapters.crypto import BcryptPasswords, JwtTokens, load_or_make_secret, passwords
from chat4all.domain.errors import NotSignedIn, Overloaded, StartRefused
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session
from tests.docs.troubles import assert_documented

SECRET = b"s" * 32
NOW = 1_800_000_000
SESSION = Session(SessionId("a-session"), Username("bruno"), NOW + 60)
CLAIMS = {
    "iss": "chat4all",
    "aud": "chat4all",
    "sub": "bruno",
    "jti": "a-session",
    "iat": NOW,
    "exp": NOW + 60,
}


def signed(claims: dict[str, Any], key: bytes = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm)


def unsigned(header: dict[str, str]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()) for p in (header, CLAIMS)]
    return b".".join(p.rstrip(b"=") for p in parts).decode() + "."


def test_a_token_says_whose_it_is_until_it_expires() -> None:
    tokens = JwtTokens(SECRET)
    issued = tokens.issue(SESSION, NOW, 3600)
    assert issued.expires_in == 60
    for now in (NOW, NOW + 59):
        assert tokens.read(issued.token, now) == SESSION
    # Its signature is cached by now; its expiry is looked at all the same.
    with pytest.raises(NotSignedIn, match=r"^this token has expired: sign in again$"):
        tokens.read(issued.token, NOW + 60)
    assert JwtTokens(SECRET).read(issued.token, NOW) == SESSION


@pytest.mark.parametrize(
    "token",
    [
        signed(CLAIMS, b"s" * 64, "HS512"),
        signed(CLAIMS | {"iss": "somebody"}),
        signed(CLAIMS | {"aud": "something"}),
        signed(CLAIMS | {"exp": str(NOW + 60)}),
        signed(CLAIMS | {"exp": True}),
        *[signed({k: v for k, v in CLAIMS.items() if k != left_out}) for left_out in CLAIMS],
        unsigned({"alg": "none", "typ": "JWT"}),
        unsigned({"alg": "RS256", "typ": "JWT"}) + "AAAA",
        signed(CLAIMS | {"more": "x" * 5_000}),
        "",
        "bruno",
        "é.é.é",
        "\0",
        "a.b.c",
    ],
)
def test_any_other_token_is_refused_alike(token: str) -> None:
    with pytest.raises(NotSignedIn, match=r"^this token is not good: sign in again$"):
        JwtTokens(SECRET).read(token, NOW)


@pytest.mark.parametrize(
    "token",
    [
        signed(CLAIMS, b"another key that is long enough...."),
        signed(CLAIMS)[:-4] + "AAAA",
        unsigned({"alg": "HS256", "typ": "JWT"}),
    ],
)
def test_a_token_of_another_secret_is_refused_and_the_log_told_once(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = JwtTokens(SECRET)
    for _ in range(3):
        with pytest.raises(NotSignedIn, match="sign in again") as refused:
            tokens.read(token, NOW)
        assert_documented(str(refused.value))
    (told,) = caplog.messages
    assert_documented(told)
    assert "bruno" not in told


def test_what_nobody_made_is_not_told_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for stranger in (signed({"iss": "somebody"}, b"x" * 32), signed({}, b"x" * 32)):
        with pytest.raises(NotSignedIn):
            JwtTokens(SECRET).read(stranger, NOW)
    assert caplog.messages == []


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(StartRefused, match="SECRET_KEY has 31 bytes"):
        JwtTokens(b"s" * 31)


def test_the_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secret-key"
    made = load_or_make_secret(path)
    assert len(made) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make_secret(path) == made
    assert load_or_make_secret(tmp_path / "another") != made
    assert sorted(p.name for p in tmp_path.iterdir()) == ["another", "secret-key"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.chmod(0o640), "chmod 600"),
        (lambda path: path.write_bytes(b"short"), "delete it"),
        (lambda path: path.write_bytes(b""), "delete it"),
    ],
)
def test_a_secret_that_is_not_safe_stops_the_start(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "secret-key"
    load_or_make_secret(path)
    spoil(path)
    with pytest.raises(StartRefused, match=says):
        load_or_make_secret(path)


@pytest.mark.anyio
async def test_an_unknown_user_costs_as_many_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    check = bcrypt.checkpw

    def counted(text: bytes, known: bytes) -> bool:
        compared.append(text)
        return check(text, known)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    hasher = BcryptPasswords(rounds=4)
    try:
        known = await hasher.hash("something else")
        for password, rounds in [
            ("ascii", 1),
            ("contrase\u00f1a", 1),
            ("contrasen\u0303a", 2),
            ("a\u200bb", 1),  # it has no normal form
            ("\ud800", 1),
            ("x" * 99, 1),
        ]:
            for password_hash in (known, None):
                compared.clear()
                assert not await hasher.verify(password, password_hash)
                assert len(compared) == rounds, (password, password_hash)
    finally:
        hasher.close()


@pytest.mark.anyio
async def test_only_what_was_hashed_as_it_was_sent_is_hashed_anew() -> None:
    hasher = BcryptPasswords(rounds=4)
    try:
        raw = bcrypt.hashpw("contrasen\u0303a".encode(), bcrypt.gensalt(4))
        assert await hasher.verify("contrasen\u0303a", raw)
        assert not await hasher.verify("contrase\u00f1a", raw)
        anew = await hasher.rehashed("contrasen\u0303a", raw)
        assert anew is not None
        for spelling in ("contrasen\u0303a", "contrase\u00f1a"):
            assert await hasher.verify(spelling, anew)
            assert await hasher.rehashed(spelling, anew) is None
        strange = bcrypt.hashpw("👩‍💻👩‍💻".encode(), bcrypt.gensalt(4))
        assert await hasher.verify("👩‍💻👩‍💻", strange)
        assert await hasher.rehashed("👩‍💻👩‍💻", strange) is None
    finally:
        hasher.close()


@pytest.mark.anyio
async def test_passwords() -> None:
    hasher = BcryptPasswords(rounds=4)
    try:
        known = await hasher.hash("é" * 36)
        assert known != await hasher.hash("é" * 36)
        assert await hasher.verify("é" * 36, known)
        assert not await hasher.verify("é" * 35, known)
        # 72 bytes that match, and one more: bcrypt by itself would say yes.
        assert not await hasher.verify("é" * 36 + "x", known)
        assert not await hasher.verify("a\0b", known)
        # A lone surrogate has no UTF-8: it is not the "?" that stands for it elsewhere.
        assert not await hasher.verify("\ud800", await hasher.hash("?"))
        assert not await hasher.verify("", await hasher.hash("x"))
        assert not await hasher.verify("", None)
        with pytest.raises(ValueError, match="end of this password"):
            await hasher.hash("x" * 73)
    finally:
        hasher.close()


@pytest.mark.anyio
async def test_passwords_are_checked_where_priorities_cannot_be_lowered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sandbox's filter of system calls answers EPERM."""

    def forbidden(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.setpriority", forbidden)
    hasher = BcryptPasswords(rounds=4)
    try:
        assert await hasher.verify("a password", await hasher.hash("a password"))
    finally:
        hasher.close()


def test_the_cost_is_12() -> None:
    assert passwords.ROUNDS == 12
    assert BcryptPasswords()._rounds == 12


@pytest.mark.anyio
async def test_nobodys_password_costs_as_much_as_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    real = bcrypt.checkpw

    def check(text: bytes, known: bytes) -> bool:
        compared.append(known)
        return real(text, known)

    monkeypatch.setattr(bcrypt, "checkpw", check)
    hasher = BcryptPasswords(rounds=5)
    try:
        for password in ("x", "x" * 80):
            await hasher.verify(password, None)
            await hasher.verify(password, await hasher.hash("other"))
    finally:
        hasher.close()
    assert len(compared) == 4
    assert {known[:7] for known in compared} == {b"$2b$05$"}


@pytest.mark.anyio
async def test_a_slow_hash_blocks_nobody_and_too_many_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = threading.Event()

    def slow(text: bytes, known: bytes) -> bool:
        return go_on.wait(10)

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    hasher = BcryptPasswords(rounds=4, queue=3)
    try:
        waiting = [asyncio.ensure_future(hasher.verify("x", b"known")) for _ in range(3)]
        await asyncio.sleep(0)  # the event loop turns, although hashes run
        with pytest.raises(Overloaded):
            await hasher.verify("x", b"known")
        go_on.set()
        assert await asyncio.gather(*waiting) == [True] * 3
        assert await hasher.verify("x", b"known")
    finally:
        go_on.set()
        hasher.close()
