"""How commands end: statuses, what is told, and what may be done again, at a scripted server."""

import asyncio
import io
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chat4all.cli import main
from chat4all.client import Client
from chat4all.commands.send import BYTES_MAX
from chat4all.terminal.accounts import Account
from chat4all.terminal.signing_in import Kept, SharedTokens, client_of
from tests.faults.running import free_ports
from tests.terminal.servers import Scripted, serving

CHAT = "00000000-0000-4000-8000-000000000001"
SEND = "POST /v1/messages"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scripted]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("CHAT4ALL_URL", "CHAT4ALL_USER", "CHAT4ALL_CHAT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    with serving() as found:
        yield found


Chat4all = Callable[..., tuple[int, str, str]]


@pytest.fixture
def chat4all(capfd: pytest.CaptureFixture[str]) -> Chat4all:
    """Run a command in this process; its status, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        found = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, found.out, found.err

    return run


def accepted(body: Any) -> tuple[int, Any]:
    return 202, {"status": "accepted", "message_id": body["message_id"]}


def test_what_was_perhaps_sent_is_sent_again_with_its_id(
    server: Scripted, chat4all: Chat4all
) -> None:
    server.sign_in()
    server.answers[SEND] = lambda _: None
    status, output, told = chat4all("send", CHAT, "Olá!", "--timeout", "1")
    assert (status, output) == (6, "")
    ids = {body["message_id"] for body in server.bodies(SEND)}
    assert len(ids) == 1
    (key,) = ids
    assert f"`chat4all send --id {key} {CHAT} …` sends it once" in told
    assert len(told.splitlines()) == 1
    server.answers[SEND] = accepted
    assert chat4all("send", "--id", key, CHAT, "Olá!")[0] == 0
    assert server.bodies(SEND)[-1]["message_id"] == key


def test_a_session_that_ends_between_two_tries_leaves_the_id(
    server: Scripted, chat4all: Chat4all
) -> None:
    """The first try may have sent it: another id after the next sign-in would send it twice."""
    server.sign_in()
    lost = iter([None])
    server.answers[SEND] = lambda _: next(lost, (401, {}))
    server.answers["POST /token"] = problem(400, "ended", type="/problems/session-ended")
    status, output, told = chat4all("send", CHAT, "Olá!")
    assert (status, output) == (3, "")
    assert "has ended" in told
    assert f"add `--id {server.bodies(SEND)[0]['message_id']}`" in told


def test_a_conversation_that_was_perhaps_created_leaves_nothing_unknown(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message was not sent, and a second try creates no second conversation."""
    give_up_soon(monkeypatch)
    server.sign_in()
    server.answers["POST /v1/conversations"] = lambda _: None
    status, _, told = chat4all("send", "@bruno", "Olá!")
    assert status == 5
    assert told.startswith("chat4all: it was not sent: ")


def test_a_group_that_was_perhaps_created_is_created_once(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up_soon(monkeypatch)
    server.sign_in()
    server.answers["POST /v1/conversations"] = lambda _: None
    key = "8d5a3b0e-7a52-4f0e-9c11-3f1f5e0f2a77"
    told = f"`chat4all group create --key {key} 'Uma equipe' bruno` does it once"
    for arguments in ((), ("--key", key)):
        monkeypatch.setattr("chat4all.terminal.asking.uuid4", lambda: key)
        status, output, errors = chat4all("group", "create", "Uma equipe", "bruno", *arguments)
        assert (status, output) == (6, "")
        assert told in errors


def test_members_that_were_perhaps_added_are_added_by_the_same_command(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up_soon(monkeypatch)
    server.sign_in()
    there: set[str] = set()

    def add(body: Any) -> tuple[int, Any] | None:
        name = body["username"]
        if name in there:
            return problem(409, "already a member", type="/problems/already-taken")(body)
        if name == "nobody":
            return problem(422, "no such user")(body)
        there.add(name)
        return None if name == "carla" else (201, {"username": name, "role": "member"})

    server.answers[f"POST /v1/conversations/{CHAT}/members"] = add
    command = ("group", "add", "--text", CHAT, "carla", "dora", "nobody")
    status, output, told = chat4all(*command[:-1])
    assert (status, output) == (6, "")
    assert "it is not known whether carla was added" in told
    assert told.endswith("do it again\n")
    told = "chat4all: not added now: carla (already a member)\n"
    assert chat4all(*command[:-1]) == (1, "dora was added.\n", told)
    told = "chat4all: nobody was not added: no such user\n"
    assert chat4all(*command) == (1, "", told)


def test_members_that_were_perhaps_removed_are_removed_by_the_same_command(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up_soon(monkeypatch)
    server.sign_in()
    path = f"DELETE /v1/conversations/{CHAT}/members"
    server.answers[f"{path}/carla"] = lambda _: None
    server.answers[f"{path}/dora"] = lambda _: (204, None)
    command = ("group", "remove", "--text", CHAT, "carla", "dora")
    status, output, told = chat4all(*command)
    assert (status, output) == (6, "")
    assert told.endswith("do it again\n")
    server.answers[f"{path}/carla"] = problem(404, "no such member")
    told = "chat4all: not removed now: carla (no such member)\n"
    assert chat4all(*command) == (4, "dora was removed.\n", told)
    server.answers[f"{path}/carla"] = problem(403, "only its admins")
    told = "chat4all: carla was not removed: only its admins\n"
    assert chat4all(*command) == (1, "", told)


def test_what_was_sent_is_told_where_the_output_cannot_be(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.sign_in()
    server.answers[SEND] = accepted
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        status, _, told = chat4all("send", CHAT, "Olá!")
    assert status == 1
    assert f"it was sent ({server.bodies(SEND)[0]['message_id']})" in told


def test_a_text_that_is_too_long_is_not_cut(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.sign_in()
    text = "x" + "é" * BYTES_MAX
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    told = "chat4all: standard input is too long for a message\n"
    assert chat4all("send", CHAT) == (1, "", told)
    assert server.asked == []


def test_ctrl_c_while_it_is_sent_tells_the_id(server: Scripted, chat4all: Chat4all) -> None:
    server.sign_in()

    def interrupt(_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    server.answers[SEND] = interrupt
    status, output, told = chat4all("send", CHAT, "Olá!")
    assert (status, output) == (130, "")
    assert server.bodies(SEND)[0]["message_id"] in told


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 1)]
)
def test_signals_end_it_as_ctrl_c_does(
    server: Scripted, chat4all: Chat4all, number: signal.Signals, status: int
) -> None:
    server.sign_in()
    server.answers["GET /v1/me"] = lambda _: os.kill(os.getpid(), number)
    assert chat4all("whoami") == (status, "", "")


def problem(status: int, detail: str, **fields: Any) -> Callable[[Any], tuple[int, Any]]:
    return lambda _: (status, {"status": status, "detail": detail, **fields})


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (problem(404, "no such conversation"), 4, "no such conversation"),
        (problem(403, "not allowed"), 1, "not allowed"),
        (
            problem(
                422,
                "see errors",
                errors=[
                    {"pointer": "/content", "detail": "it shows nothing"},
                    {"pointer": "/mentions/0", "detail": "not a member"},
                ],
            ),
            1,
            "content: it shows nothing; mentions/0: not a member",
        ),
        (problem(503, "the log does not answer"), 5, "the log does not answer"),
    ],
)
def test_what_the_server_says_is_told(
    server: Scripted,
    chat4all: Chat4all,
    answer: Callable[[Any], tuple[int, Any]],
    status: int,
    told: str,
) -> None:
    server.sign_in()
    server.answers[SEND] = answer
    assert chat4all("send", CHAT, "x") == (status, "", f"chat4all: {told}\n")


def give_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no call be tried twice: the first wait is longer than any deadline."""

    def made(account: Account, _: float, tokens: SharedTokens | None = None) -> Client:
        client = client_of(account, tokens=tokens)
        client._pace.factor = 1e12
        return client

    for module in ("terminal.asking", "commands.logout"):
        monkeypatch.setattr(f"chat4all.{module}.client_of", made)


def test_a_server_that_does_not_answer_is_told(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give_up_soon(monkeypatch)
    server.url = f"http://127.0.0.1:{free_ports(1)[0]}"
    server.sign_in()
    status, _, told = chat4all("send", CHAT, "x")
    assert status == 5
    assert "does not answer" in told
    assert len(told.splitlines()) == 1
    status, _, told = chat4all("logout")
    assert status == 5
    assert "you are signed out here" in told
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_tokens_that_end_soon_are_renewed_and_kept_first(
    server: Scripted, chat4all: Chat4all
) -> None:
    account = server.sign_in(ends_in=10)
    give_tokens(server)
    kept: list[str | None] = []

    def me(_: Any) -> tuple[int, Any]:
        kept.append(account.vault.read())
        found = {"username": "ana", "display_name": "Ana\x1b[31m", "email": "a@example.com"}
        return 200, {**found, "created_at": "2026-01-31T12:00:00.000Z"}

    server.answers["GET /v1/me"] = me
    status, output, told = chat4all("whoami", "--text")
    assert (status, told) == (0, "")
    assert output.startswith(f"ana (Ana\N{REPLACEMENT CHARACTER}[31m) at {server.url}; tokens in ")
    assert all(text and "refresh-1" in text for text in kept)
    assert server.bodies("POST /token") == ["grant_type=refresh_token&refresh_token=refresh-0"]
    assert {one[3] for one in server.asked if one[1] == "/v1/me"} == {"Bearer access-1"}


def give_tokens(server: Scripted) -> None:
    """Renew tokens: `access-1` and `refresh-1`, then 2 and so on."""
    numbers = itertools.count(1)

    def token(_: Any) -> tuple[int, Any]:
        number = next(numbers)
        found = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"}
        return 200, {**found, "token_type": "bearer", "expires_in": 1800}

    server.answers["POST /token"] = token
    server.answers["GET /v1/me"] = problem(404, "not needed")


def test_tokens_are_renewed_once_for_all_who_need_them(server: Scripted) -> None:
    """Each is another process; a refresh token that is used twice may end the session."""
    account = server.sign_in(ends_in=0)
    give_tokens(server)

    async def get() -> list[str]:
        found = await asyncio.gather(*(SharedTokens(account).get() for _ in range(5)))
        return [token for token, _ in found]

    assert asyncio.run(get()) == ["access-1"] * 5
    assert len(server.bodies("POST /token")) == 1


def test_a_token_that_was_given_is_taken_for_refused(server: Scripted) -> None:
    account = server.sign_in()
    give_tokens(server)
    shared = SharedTokens(account)

    async def get() -> list[str]:
        found = [await shared.get(), await shared.get()]
        # Another process has renewed it meanwhile.
        account.vault.write(Kept("access-9", "refresh-9", time.time() + 1000).encoded())
        return [token for token, _ in [*found, await shared.get()]]

    assert asyncio.run(get()) == ["access-0", "access-1", "access-9"]
    assert len(server.bodies("POST /token")) == 1


def test_tokens_that_are_damaged_are_told(server: Scripted, chat4all: Chat4all) -> None:
    account = server.sign_in()
    account.vault.write("{}")
    told = f"chat4all: the tokens of ana at {server.url} are damaged: sign in again\n"
    assert chat4all("whoami") == (3, "", told)
    account.vault.remove()
    assert (
        chat4all("whoami")[2] == f"chat4all: ana at {server.url} is signed out: `chat4all login`\n"
    )
    assert server.asked == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("send", CHAT), "Give a TEXT, or - to write it here and end it with Ctrl-D."),
        (("send", CHAT, "x", "--id", "1"), "--id is a UUID, such as `uuidgen` prints."),
        (("tail", "-n", "3"), "--last needs a CONVERSATION."),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(
    server: Scripted,
    chat4all: Chat4all,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    server.sign_in()
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    status, output, errors = chat4all(*arguments)
    assert (status, output) == (2, "")
    assert errors.endswith(f"Error: {told}\n")
    assert server.asked == []


def test_the_text_is_that_of_standard_input(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.sign_in()
    server.answers[SEND] = accepted
    monkeypatch.setenv("CHAT4ALL_CHAT", CHAT)
    for arguments in ((), (CHAT,), (CHAT, "-")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Olá!\n\n".encode())))
        assert chat4all("send", *arguments)[0] == 0
    assert {body["content"] for body in server.bodies(SEND)} == {"Olá!"}
    assert {body["chat_id"] for body in server.bodies(SEND)} == {CHAT}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert chat4all("send")[2] == "chat4all: standard input is not text in UTF-8\n"


def test_a_password_in_the_clear_is_warned_of_and_not_repeated(
    server: Scripted, chat4all: Chat4all, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["POST /token"] = problem(401, "wrong", type="/problems/wrong-password")
    url = server.url.replace("127.0.0.1", "127.0.0.2")
    for address, warnings in ((server.url, 0), (url, 1)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"secret\n")))
        status, output, told = chat4all("login", "ana", "--password-stdin", "--url", address)
        assert (status, output) == (3, "")
        assert told.count(f"{url} is not encrypted: your password can be read") == warnings
        assert told.endswith("chat4all: ana cannot sign in: wrong\n")
        assert "secret" not in told
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    told = "chat4all: no password was given\n"
    assert chat4all("login", "ana", "--password-stdin", "--url", server.url) == (3, "", told)
