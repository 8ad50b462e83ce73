"""`chat4all secrets`, `ready` and `demo`, without a cluster; the examples are no tests."""

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chat4all.cli import main
from chat4all.commands.secrets import FILES
from chat4all.operations.addresses import local_address
from chat4all.wire.health import DependencyHealth, Readiness
from tests.faults.running import environment, free_ports
from tests.unit.test_commands import chat4all, refusal

NO_TESTS = 5
"""pytest's exit status."""


def run(
    *arguments: str, folder: Path | None = None, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment() | (variables or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert chat4all("secrets", folder).exit_code == 0
    made = {name: (folder / name).read_text() for name in FILES}
    assert len(set(made.values())) == len(FILES)
    for name, secret in made.items():
        assert len(secret) >= 32
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    result = chat4all("secrets", folder)
    assert result.exit_code == 0
    assert {name: (folder / name).read_text() for name in FILES} == made
    assert not [secret for secret in made.values() if secret in result.output]


@pytest.mark.slow
def test_two_who_make_secrets_at_once_make_the_same(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=run, args=("chat4all", "secrets", str(tmp_path))) for _ in range(4)
    ]
    seen: set[str] = set()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.update(path.read_text() for path in tmp_path.glob("secret-key"))
        threads[0].join(0.001)
    assert len(seen | {(tmp_path / "secret-key").read_text()}) == 1


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be used" in refusal("secrets", tmp_path / "file")


@contextmanager
def answering(status: int, body: bytes, host: str = "127.0.0.1") -> Iterator[int]:
    """Serve one answer to everything; give the port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer((host, 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def health(**errors: str | None) -> bytes:
    parts = {name: DependencyHealth("x", 0.1, error) for name, error in errors.items()}
    return msgspec.json.encode(Readiness("x", parts))


@pytest.mark.parametrize(
    ("status", "body", "code", "printed"),
    [
        (200, health(log=None, store=None), 0, "ready"),
        (503, health(log=None, store="it is unavailable"), 1, "store: it is unavailable"),
        (200, health(log=None, router="none runs"), 0, "ready; router: none runs"),
        (200, b"<html>", 1, "does not answer as Chat4All does"),
        (200, b"[]", 1, "does not answer as Chat4All does"),
    ],
)
def test_ready_says_what_is_missed(status: int, body: bytes, code: int, printed: str) -> None:
    with answering(status, body) as port:
        result = chat4all("ready", "--port", port)
    assert result.exit_code == code
    assert printed in result.stdout


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
@pytest.mark.parametrize("is_read", [True, False])
def test_ready_is_the_status_alone_where_nothing_takes_its_output(
    monkeypatch: pytest.MonkeyPatch, status: int, code: int, *, is_read: bool
) -> None:
    if is_read:
        end = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, end = os.pipe()
        os.close(reader)
    with answering(status, health(log=None)) as port, os.fdopen(end, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as ended:
            main(["ready", "--port", str(port)])
    assert ended.value.code == code


def test_ready_asks_the_port_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, health(log=None)) as port:
        monkeypatch.setenv("CHAT4ALL_PORT", str(port))
        assert chat4all("ready").exit_code == 0


def test_ready_asks_where_the_service_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a container that listens on one address is never healthy."""
    with answering(200, health(log=None), "127.0.0.2") as port:
        assert chat4all("ready", "--port", port, "--host", "127.0.0.2").exit_code == 0
        assert chat4all("ready", "--port", port).exit_code == 1
        monkeypatch.setenv("CHAT4ALL_HOST", "127.0.0.2")
        assert chat4all("ready", "--port", port).exit_code == 0


@pytest.mark.parametrize(
    ("host", "here"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::1", "::1"), ("192.0.2.1", "192.0.2.1")],
)
def test_where_a_service_is_reached_locally(host: str, here: str) -> None:
    assert local_address(host) == here


def test_ready_of_nobody() -> None:
    (port,) = free_ports(1)
    result = chat4all("ready", "--port", port)
    assert result.exit_code == 1
    assert f"port {port} does not answer" in result.stdout


def test_the_demonstration_is_refused_where_nobody_says_that_it_is_for_development(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'metadata.db'}")
    assert "set CHAT4ALL_DEPLOYMENT=development" in refusal("demo")
    assert not (tmp_path / "metadata.db").exists()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_demonstration_is_made_once(tmp_path: Path) -> None:
    where = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'metadata.db'}",
        "CHAT4ALL_DEPLOYMENT": "development",
    }
    for _ in range(2):
        result = run("chat4all", "demo", variables=where)
        assert (result.returncode, result.stderr) == (0, "")
        assert "bruno and ana, password test" in result.stdout
    result = run("chat4all", "demo", variables={"CHAT4ALL_DEPLOYMENT": "development"})
    assert result.returncode == 1
    assert result.stderr.startswith("chat4all: DATABASE_URL is missing")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_examples_are_no_tests(tmp_path: Path) -> None:
    # One that would fail if it were collected.
    shutil.copy("pyproject.toml", tmp_path)
    shutil.copytree("client-python", tmp_path / "client-python")
    (tmp_path / "client-python/test_producer.py").write_text("def test_sent(): assert False")
    for given in (".", "client-python"):
        result = run("pytest", given, folder=tmp_path)
        assert result.returncode == NO_TESTS, result.stdout
    # Nor does loading them send anything, as unittest does.
    assert "Ran 0 tests" in run("unittest", "discover", "client-python").stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["migrate", "demo", "router", "dead-letters list --cluster", "users list --cluster", "doctor"],
)
def test_without_the_drivers_a_cluster_is_refused_in_one_sentence(command: str) -> None:
    program = (
        "import sys; sys.modules['acsylla'] = None\n"
        "from chat4all.cli import main\n"
        f"main({command.split()!r})"
    )
    refused = subprocess.run(
        [sys.executable, "-c", program],
        env=environment() | {"CASSANDRA_HOSTS": "127.0.0.1", "CHAT4ALL_DEPLOYMENT": "development"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert refused.returncode == 1
    assert refused.stderr == "chat4all: acsylla is not installed: install chat4all[cluster]\n"
