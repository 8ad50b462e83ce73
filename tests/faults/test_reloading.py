"""`--reload`: the process is another one after the source has changed, and ends with its parent."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.running import call, environment, free_ports, until

WAIT_SECONDS = 60


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_change_of_the_source_starts_it_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree("src", source, ignore=shutil.ignore_patterns("__pycache__"))
    (port,) = free_ports(1)
    log = tmp_path / "log"
    # Nothing that it needs is there: it waits, and answers all the same.
    variables = environment() | {
        "PYTHONPATH": str(source),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CASSANDRA_HOSTS": "127.0.0.1",
        "CHAT4ALL_CASSANDRA_PORT": "1",
        "KAFKA_BOOTSTRAP_SERVER": "127.0.0.1:1",
        "CHAT4ALL_METADATA_URL": "http://127.0.0.1:1",
        "SECRET_KEY": secrets.token_hex(32),
        "CHAT4ALL_SERVICE_CREDENTIAL": secrets.token_hex(32),
    }

    def title() -> str:
        try:
            status, body = call("GET", f"http://127.0.0.1:{port}/openapi.json")
        except OSError:
            return ""
        assert status == 200
        return str(body["info"]["version"])

    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "chat4all", "gateway", "--reload", "--port", str(port)],
            stdout=output,
            stderr=output,
            env=variables,
            start_new_session=True,  # so that its child can be killed with it
            cwd=tmp_path,
        )
    try:
        until(lambda: title() != "", WAIT_SECONDS)
        version = source / "chat4all/__init__.py"
        version.write_text('"""Another."""\n\n__version__ = "9.8.7"\n')
        until(lambda: title() == "9.8.7", WAIT_SECONDS)

        # What cannot be loaded is waited for as well, and each change counts, also one that comes
        # while the one before it is being acted upon.
        for attempt in range(5):
            version.write_text(f"this is no Python: {attempt}\n")
            until(lambda: f"this is no Python: {attempt}" in log.read_text(), WAIT_SECONDS)  # noqa: B023
        assert title() == ""
        version.write_text('"""Mended."""\n\n__version__ = "9.8.8"\n')
        until(lambda: title() == "9.8.8", WAIT_SECONDS)

        process.terminate()
        assert process.wait(30) == 0
        assert title() == ""
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
