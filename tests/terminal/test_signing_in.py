"""Tokens that several processes share: what one does while another one renews them."""

import asyncio
import io
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat4all.cli import main
from chat4all.client import InvalidCertificate, NotSignedIn, Unavailable
from chat4all.terminal import signing_in
from chat4all.terminal.signing_in import SharedTokens, locked, read_kept
from tests.client.certified import certified
from tests.terminal.servers import Scripted, serving

SECONDS = 30


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scripted]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("CHAT4ALL_URL", "CHAT4ALL_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    with serving() as found:
        found.answers["GET /v1/me"] = me
        found.answers["POST /token"] = lambda _: (200, token(1))
        yield found


def me(_: Any) -> tuple[int, Any]:
    found = {"username": "ana", "display_name": None, "email": "a@example.com"}
    return 200, {**found, "created_at": "2026-01-31T12:00:00.000Z"}


def token(number: int) -> dict[str, Any]:
    found = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"}
    return {**found, "token_type": "bearer", "expires_in": 1800}


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_token_comes_with_the_time_for_which_it_lasts(server: Scripted) -> None:
    account = server.sign_in(ends_in=1000)
    shared = SharedTokens(account)

    async def get() -> list[float]:
        return [(await shared.get())[1], (await shared.get())[1]]

    first, second = asyncio.run(get())
    assert 900 < first <= 1000
    assert 1700 < second <= 1800


def test_what_has_been_running_outlasts_a_certificate_that_has_ended(
    server: Scripted, tmp_path: Path
) -> None:
    """`tail` is not ended by it; a command that begins then is."""

    async def get() -> None:
        async with certified(tmp_path) as elsewhere:
            server.url = elsewhere.url
            account = server.sign_in(ends_in=1000)
            shared = SharedTokens(account)
            assert (await shared.get())[0] == "access-0"
            with pytest.raises(Unavailable, match="certificate"):
                await shared.get()  # the next one
            server.sign_in(ends_in=0)
            with pytest.raises(InvalidCertificate):
                await SharedTokens(account).get()

    asyncio.run(get())


def test_what_is_being_renewed_when_a_command_ends_is_kept(server: Scripted) -> None:
    """The refresh token is spent by then: without the next one the session would be lost."""
    account = server.sign_in(ends_in=0)
    asked, answer = threading.Event(), threading.Event()

    def give(_: Any) -> tuple[int, Any]:
        asked.set()
        answer.wait(SECONDS)
        return 200, token(1)

    server.answers["POST /token"] = give

    async def end() -> None:
        getting = asyncio.create_task(SharedTokens(account).get())
        await asyncio.to_thread(asked.wait, SECONDS)
        getting.cancel()
        asyncio.get_running_loop().call_later(0, answer.set)
        with pytest.raises(asyncio.CancelledError):
            await getting

    asyncio.run(end())
    kept = read_kept(account)
    assert kept is not None
    assert kept.refresh_token == "refresh-1"


def test_a_renewal_that_hangs_does_not_hold_up_the_end(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_in, "SETTLE_SECONDS", 0.01)
    account = server.sign_in(ends_in=0)
    asked, answer = threading.Event(), threading.Event()

    def hang(_: Any) -> None:
        asked.set()
        answer.wait(SECONDS)

    server.answers["POST /token"] = hang

    async def end() -> None:
        getting = asyncio.create_task(SharedTokens(account).get())
        await asyncio.to_thread(asked.wait, SECONDS)
        getting.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait([getting])
        assert getting.cancelled()

    try:
        asyncio.run(end())
    finally:
        answer.set()


def test_tokens_that_were_renewed_are_good_whatever_comes_then(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_in, "CALL_SECONDS", 0.5)
    account = server.sign_in(ends_in=0)
    server.answers["GET /v1/me"] = lambda _: (503, {})
    assert asyncio.run(SharedTokens(account).get())[0] == "access-1"


@pytest.mark.parametrize("command", ["login", "logout"])
def test_signing_in_and_out_waits_for_a_renewal(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Else the renewed tokens of the former session would be written over what comes after it."""
    account = server.sign_in()
    server.answers["POST /v1/logout"] = lambda _: (204, None)
    monkeypatch.setattr(signing_in, "LOCK_SECONDS", 0.1)
    arguments = [command, "--url", server.url]
    if command == "login":
        arguments += ["ana", "--password-stdin"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"secret\n")))

    async def while_locked() -> int:
        async with locked(account):
            return await asyncio.to_thread(lambda: run_in_thread(arguments))

    before = read_kept(account)
    assert asyncio.run(while_locked()) == 5
    assert read_kept(account) == before
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"secret\n")))
    assert run(*arguments) == 0
    assert read_kept(account) != before


@pytest.mark.parametrize("answer", [(204, None), (401, {})])
def test_who_signs_in_meanwhile_is_signed_out_at_the_server_too(
    server: Scripted, answer: tuple[int, Any]
) -> None:
    """Else that session would go on for weeks, and nobody would have its tokens."""
    server.sign_in()
    ended: list[str] = []

    def end(_: Any) -> tuple[int, Any]:
        ended.append(server.asked[-1][3])
        if len(ended) == 1:
            server.sign_in(number=1)
            return answer
        return 204, None

    server.answers["POST /v1/logout"] = end
    assert run("logout") == 0
    assert ended == ["Bearer access-0", "Bearer access-1"]
    assert run("whoami") == 3


def run_in_thread(arguments: list[str]) -> int:
    """Run a command where no signal handler can be set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chat4all.terminal.asking.signal.getsignal", lambda _: None)
        return run(*arguments)


def test_who_signed_out_meanwhile_is_told(server: Scripted) -> None:
    account = server.sign_in(ends_in=0)
    kept = read_kept(account)
    account.remove()

    async def renew() -> None:
        async with locked(account):
            assert kept is None

    with pytest.raises(NotSignedIn, match="is signed out"):
        asyncio.run(renew())


def test_a_folder_that_cannot_be_written_is_told(
    server: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(file))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"secret\n")))
    assert run("login", "ana", "--password-stdin", "--url", server.url) == 1
    assert capfd.readouterr().err == f"chat4all: {file}/chat4all: Not a directory\n"


def test_a_password_that_is_no_text_is_told(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for errors in ("strict", "surrogateescape"):
        text = io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="utf-8", errors=errors)
        monkeypatch.setattr(sys, "stdin", text)
        assert run("login", "ana", "--password-stdin", "--url", server.url) == 1
        assert capfd.readouterr().err == "chat4all: standard input is not text in UTF-8\n"


def test_a_password_is_never_taken_for_a_name(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"secret\nsecret\n")))
    assert run("login", "--password-stdin", "--url", server.url) == 2
    assert server.asked == []


def test_ctrl_c_at_a_prompt_is_ctrl_c(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.termui.hidden_prompt_func", interrupt)
    assert run("login", "ana", "--url", server.url) == 130


def test_a_password_is_read_in_utf_8_whatever_the_locale_is(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when it is read as the locale says: another password is sent."""
    text = io.TextIOWrapper(io.BytesIO("contraseña\n".encode()), encoding="latin-1")
    monkeypatch.setattr(sys, "stdin", text)
    run("login", "ana", "--password-stdin", "--url", server.url)
    (sent, *_) = server.bodies("POST /token")
    assert "contrase%C3%B1a" in str(sent)
