"""`chat4all listen` as a process, against the product."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.running import CHAT, Running, call, environment, until

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "chat4all", "listen", "--password-stdin", "--username"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    yield found
    found.kill()


@contextmanager
def listening(running: Running, *options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [*COMMAND, "ana", "--url", running.gateway, *options]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment()
    )
    try:
        assert process.stdin is not None
        process.stdin.write("test\n")
        process.stdin.close()
        process.stdin = None
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def line(process: "subprocess.Popen[str]", kind: str) -> Any:
    """Return the next frame of a type."""
    assert process.stdout is not None
    for text in process.stdout:
        if (frame := json.loads(text))["type"] == kind:
            return frame
    raise AssertionError("the output has ended")


def send(running: Running, content: str) -> None:
    body = {"chat_id": CHAT, "content": content}
    token = running.token("bruno")
    assert call("POST", f"{running.gateway}/v1/messages", body, token)[0] == 202


def test_it_prints_what_happens_and_misses_nothing_over_a_restart(running: Running) -> None:
    with listening(running) as process:
        line(process, "resumed")
        send(running, "Olá! 🎉")
        assert line(process, "message")["message"]["content"] == "Olá! 🎉"
        running.kill()
        running.start()
        send(running, "meanwhile")
        assert line(process, "message")["message"]["content"] == "meanwhile"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        told = process.stderr.read()
        assert process.wait(30) == 130
    assert "Traceback" not in told
    assert all("connecting again in" in one for one in told.splitlines())
    devices = call("GET", f"{running.gateway}/v1/sessions", token=running.token("ana"))[1]
    assert len(devices) == 1, "it has signed out"


def test_a_closed_pipe_ends_it_quietly(running: Running) -> None:
    with listening(running, "--conversation", CHAT) as process:
        assert line(process, "conversation")["conversation_id"] == CHAT
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None

        def has_ended() -> bool:
            send(running, "x")
            return process.poll() is not None

        until(has_ended)
        assert process.returncode == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_it_says_why_it_cannot_begin(running: Running) -> None:
    def told(*arguments: str, password: str = "test") -> tuple[int, str, str]:
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=f"{password}\n",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=environment(),
        )
        return done.returncode, done.stdout, done.stderr

    refused = "chat4all: ana cannot sign in: "
    assert told("ana", "--url", running.gateway, password="wrong")[2].startswith(refused)
    nowhere = "http://127.0.0.1:1"
    status, printed, why = told("ana", "--url", nowhere)
    assert (status, printed) == (1, "")
    assert why.startswith(f"chat4all: {nowhere} does not answer")
    assert len(why.splitlines()) == 1
    assert "--url: give an address" in told("ana", "--url", "localhost:8000")[2]
