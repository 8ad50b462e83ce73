"""`chat4all up` as a process of its own, on free ports, to be killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.forked import Forked

CHAT = "550e8400-e29b-41d4-a716-446655440000"

PRODUCT = (sys.executable, "-m", "chat4all")
CHEAP_PASSWORDS = "tests.faults.cheap_passwords"
"""A module to run the product by, as `chat4all` is one."""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return when the condition holds; AssertionError after a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.005)


def call(
    method: str,
    url: str,
    body: Any = None,
    token: str | None = None,
    form: dict[str, str] | None = None,
) -> tuple[int, Any]:
    headers, data = {}, None
    if form is not None:
        data = urllib.parse.urlencode(form).encode()
    elif body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def whole_history(gateway: str, chat: str, token: str) -> list[dict[str, Any]]:
    """Return all messages of a chat, page after page, from the gateway at this address."""
    found: list[dict[str, Any]] = []
    while True:
        path = f"/v1/conversations/{chat}/messages?limit=200&after={len(found)}"
        status, page = call("GET", gateway + path, token=token)
        assert status == 200, f"the history cannot be read: {page}"
        if not page:
            return found
        found.extend(page)


class Running:
    """One `chat4all up`, forked, or by a command. Its log goes to a file beside its data."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        command: Sequence[str] | None = None,
        start_new_session: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        # The people of these tests write without a pause, which nobody may do.
        self._environment = environment() | {"CHAT4ALL_RATE_LIMITS": "off"} | dict(settings or {})
        self._start_new_session = start_new_session
        self.port, self.metadata_port = free_ports(2)
        self.gateway = f"http://127.0.0.1:{self.port}"
        self.metadata = f"http://127.0.0.1:{self.metadata_port}"
        self._is_forked = command is None and not start_new_session
        self._command = command or (sys.executable, "-m", CHEAP_PASSWORDS)
        ports = ["--port", str(self.port), "--metadata-port", str(self.metadata_port)]
        self._arguments = ["up", "--data", str(folder / "data"), *ports, *arguments]
        self.process: subprocess.Popen[bytes] | Forked | None = None

    def start(self) -> "Running":
        """Start and wait until it answers."""
        output = self.folder / "log"
        if self._is_forked:
            self.process = Forked(CHEAP_PASSWORDS, self._arguments, self._environment, output)
        else:
            with output.open("ab") as log:
                self.process = subprocess.Popen(
                    [*self._command, *self._arguments],
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=self._start_new_session,
                )
        until(self._healthy)
        return self

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run it to its end, for a start that is refused."""
        return subprocess.run(
            [*self._command, *self._arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=self._environment,
        )

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def token(self, username: str, password: str = "test") -> str:
        form = {"username": username, "password": password}
        status, body = call("POST", f"{self.gateway}/token", form=form)
        assert status == 200, body
        return str(body["access_token"])

    def history(self, token: str, chat: str = CHAT) -> list[dict[str, Any]]:
        """Return the whole history."""
        return whole_history(self.gateway, chat, token)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended: {self.log()}"
        try:
            return call("GET", f"{self.gateway}/health")[0] == 200
        except OSError:
            return False


def environment() -> dict[str, str]:
    """Return this environment without what would set Chat4All."""
    own = ("CHAT4ALL_", "SECRET_KEY", "ACCESS_TOKEN_EXPIRE_MINUTES", "DATABASE_URL")
    return {k: v for k, v in os.environ.items() if not k.startswith(own)}
