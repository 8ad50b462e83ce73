"""What a shell completes: conversations by names that it need not quote, others by id."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from chat4all.cli import main
from chat4all.client import ListedConversation
from chat4all.terminal import meaning
from chat4all.terminal.accounts import Account
from tests.terminal.made import listed

FOUND = [
    listed(1, title="Equipe"),
    listed(2, title="Equipe de sempre"),
    listed(3, peer="érica"),
    listed(4, title="other; rm -rf"),
    listed(5, members=("ana", "bruno")),
]


@pytest.fixture(autouse=True)
def _signed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("CHAT4ALL_URL", "CHAT4ALL_USER"):
        monkeypatch.delenv(name, raising=False)
    account = Account("http://localhost:8000", "ana", "file")
    account.save()

    async def every(chat: object) -> list[ListedConversation]:
        return FOUND

    monkeypatch.setattr(meaning, "every_conversation", every)


def completed(*words: str) -> list[tuple[str, str | None]]:
    """Return the values that complete the last word, each with what is said of it."""
    completing = ShellComplete(main, {}, "chat4all", "_CHAT4ALL_COMPLETE")
    found = completing.get_completions(list(words[:-1]), words[-1])
    return [(item.value, item.help) for item in found]


@pytest.mark.parametrize(
    "command", [("send",), ("history",), ("tail",), ("read",), ("group", "add")]
)
def test_conversations_are_completed_everywhere(command: tuple[str, ...]) -> None:
    assert completed(*command, "eq") == [
        ("Equipe", "ana, bruno"),
        (FOUND[1].conversation_id, "Equipe de sempre"),
    ]


def test_people_are_completed_with_and_without_their_sign() -> None:
    assert completed("send", "É") == [("érica", "ana, bruno")]
    assert completed("send", "@") == [("@érica", "ana, bruno")]


def test_nothing_that_a_shell_would_run_is_completed() -> None:
    assert completed("send", "oth") == [(FOUND[3].conversation_id, "other; rm -rf")]
    assert [value for value, _ in completed("send", "")] == [
        "Equipe",
        FOUND[1].conversation_id,
        "érica",
        FOUND[3].conversation_id,
    ]


@pytest.mark.parametrize("title", ["-rf", "@ana", FOUND[0].conversation_id])
def test_a_title_that_would_mean_something_else_is_completed_as_an_id(
    monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    found = listed(9, title=title)

    async def every(chat: object) -> list[ListedConversation]:
        return [found]

    monkeypatch.setattr(meaning, "every_conversation", every)
    assert completed("send", "") == [(found.conversation_id, title)]


def test_a_name_server_that_hangs_does_not_hold_up_the_shell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The threads that look up addresses are waited for at the end of a process."""
    ended = threading.Event()

    async def every(chat: object) -> list[ListedConversation]:
        await asyncio.to_thread(ended.wait, 30)
        return []

    monkeypatch.setattr(meaning, "every_conversation", every)
    monkeypatch.setattr(meaning, "COMPLETION_SECONDS", 0.01)
    monkeypatch.setattr(meaning, "SETTLE_SECONDS", -1)
    statuses: list[int] = []

    def end(status: int) -> None:
        statuses.append(status)
        ended.set()

    monkeypatch.setattr(os, "_exit", end)
    assert completed("send", "") == []
    assert statuses == [0]


def test_what_goes_wrong_completes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT4ALL_URL", "nonsense")
    assert completed("send", "") == []
    monkeypatch.delenv("CHAT4ALL_URL")
    assert completed("send", "--user", "nobody", "") == []


def test_commands_and_options_are_completed() -> None:
    assert [value for value, _ in completed("who")] == ["whoami"]
    assert [value for value, _ in completed("send", "--rep")] == ["--reply-to"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], shell: str
) -> None:
    monkeypatch.setenv("_CHAT4ALL_COMPLETE", f"{shell}_source")
    with pytest.raises(SystemExit) as ended:
        main([], prog_name="chat4all")
    assert ended.value.code == 0
    assert "_CHAT4ALL_COMPLETE" in capfd.readouterr().out
