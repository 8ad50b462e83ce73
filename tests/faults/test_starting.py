"""Starting: the output of a first start, and each refusal as one sentence and exit status 1."""

import os
import re
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.faults.running import CHAT, PRODUCT, Running, call, environment, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]


def refusal(running: Running) -> str:
    """Return the one sentence of a start that is refused."""
    ended = running.run()
    assert ended.returncode == 1, ended
    (line,) = ended.stderr.splitlines()
    assert line.startswith("chat4all: ")
    assert not ended.stdout
    return line


def test_the_first_start_says_where_to_go(tmp_path: Path) -> None:
    running = Running(tmp_path, command=PRODUCT).start()
    try:
        until(lambda: "curl" in running.log())
        message = running.log()
        gateway = f"http://localhost:{running.port}"
        for part in (f"Chat in a browser: {gateway}\n", "/docs", "bruno and ana", CHAT):
            assert part in message
        # The lines that it prints for pasting work as they are.
        shown = "\n".join(line for line in message.splitlines() if not line.startswith("{"))
        pasted = shown[shown.index("  TOKEN=") :].replace("localhost", "127.0.0.1")
        answer = subprocess.run(
            ["bash", "-c", pasted], capture_output=True, text=True, check=True, env=environment()
        )
        assert '"status":"accepted"' in answer.stdout
    finally:
        running.kill()


def test_a_second_one_on_the_same_folder(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    try:
        assert "in use by another Chat4All: stop that one" in refusal(Running(tmp_path))
    finally:
        running.kill()


def test_open_connections_and_the_process_are_measured(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    try:
        for port in (running.port, running.metadata_port):
            waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]

            def counted(port: int = port) -> bool:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    text = answer.read().decode()
                assert "\nprocess_resident_memory_bytes " in text
                # This request's own is the fourth.
                return "\nchat4all_http_connections 4.0\n" in text

            until(counted)
            for connection in waiting:
                connection.close()
    finally:
        running.kill()


def test_a_port_in_use(tmp_path: Path) -> None:
    running = Running(tmp_path)
    for port, option in ((running.port, "--port"), (running.metadata_port, "--metadata-port")):
        with socket.create_server(("127.0.0.1", port)):
            message = refusal(running)
        assert f":{port}" in message
        assert f"or {option}" in message
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    assert "cannot be written" in refusal(Running(tmp_path))


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("log.db", "PRAGMA user_version = 99"),
        ("store.db", "PRAGMA user_version = 99"),
        ("metadata.db", "UPDATE alembic_version SET version_num = '9999'"),
    ],
)
def test_data_of_a_newer_version(tmp_path: Path, name: str, statement: str) -> None:
    running = Running(tmp_path).start()
    running.kill()
    db = sqlite3.connect(tmp_path / "data" / name, isolation_level=None)
    db.execute(statement)
    db.close()
    message = refusal(running)
    assert f"{name} was written by a newer Chat4All" in message
    assert "update Chat4All" in message


def test_the_demonstration_passwords_are_for_loopback_only(tmp_path: Path) -> None:
    Running(tmp_path).start().kill()
    assert "everybody knows" in refusal(Running(tmp_path, "--host", "0.0.0.0"))


def test_a_setting_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tests.faults.running.environment", lambda: {**os.environ, "SECRET_KEY": "short"}
    )
    assert "SECRET_KEY has 5 bytes" in refusal(Running(tmp_path))
    monkeypatch.setattr(
        "tests.faults.running.environment",
        lambda: {**os.environ, "CHAT4ALL_TRUSTED_PROXIES": "everybody"},
    )
    assert "CHAT4ALL_TRUSTED_PROXIES is not usable: 'everybody'" in refusal(Running(tmp_path))


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    running.kill()
    folder = tmp_path / "data"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "secret-key").stat().st_mode & 0o777 == 0o600


def test_it_works_the_same_from_a_wheel(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    # Its dependencies are those of this environment; the package itself comes from the wheel.
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel],
        check=True,
        capture_output=True,
    )
    start = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import chat4all;"
        f"assert chat4all.__file__.startswith({str(site)!r});"
        "from chat4all.cli import main; main()"
    )
    running = Running(tmp_path, command=(sys.executable, "-c", start)).start()
    try:
        with urllib.request.urlopen(running.gateway, timeout=10) as page:
            client = re.search(r'href="(/page/\w+/chat4all\.js)"', page.read().decode())
        assert client is not None
        with urllib.request.urlopen(running.gateway + client[1], timeout=10) as served:
            assert served.read() == (ROOT / "clients/js/chat4all.js").read_bytes()
        token = running.token("bruno")
        body = {"chat_id": CHAT, "content": "from a wheel"}
        assert call("POST", f"{running.gateway}/v1/messages", body, token)[0] == 202
        until(lambda: len(running.history(token)) == 1)
    finally:
        running.kill()
    measured = subprocess.run(
        [
            *(sys.executable, "-c", start, "bench", "--quick", "--only", "router"),
            *("--rounds", "1", "--json", "a.json", "--png", "a.png"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment(),
    )
    assert "Router, to bare inserts" in measured.stdout
    assert (tmp_path / "a.json").exists()
