"""Processes of a benchmark: servers, the product and the generator, each by itself."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .figures import percentiles

START_SECONDS = 30.0
STOP_SECONDS = 10.0
HEALTH = ("/health", "/health/ready")
"""What the product answers with 200 once it can be used."""

PACKAGE = __package__ or "bench"
ROOT = Path(__file__).resolve().parents[PACKAGE.count(".") + 1]
"""What must be on the path for the modules of this package to be found."""


class BenchmarkFailed(Exception):
    """There is no figure; the text says why, in one sentence."""


class FellBehind(BenchmarkFailed):
    """A server did not answer at the rate that it was asked to."""


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this package."""
    return [sys.executable, "-m", f"{PACKAGE}.{name}", *arguments]


def product(data: Path, port: int, metadata_port: int, *more: str) -> list[str]:
    """Return the command that starts the product."""
    ports = ["--port", str(port), "--metadata-port", str(metadata_port)]
    return [sys.executable, "-m", "chat4all", "up", "--data", str(data), *ports, *more]


def environment() -> dict[str, str]:
    """Return this environment without what would set Chat4All, limits on sending switched off."""
    own = ("CHAT4ALL_", "SECRET_KEY", "ACCESS_TOKEN_EXPIRE_MINUTES")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, "CHAT4ALL_RATE_LIMITS": "off"}


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def answers(port: int, path: str) -> bool:
    """Say whether a GET is answered with 200 now."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def process(
    command: Sequence[str],
    port: int,
    *paths: str,
    poll_seconds: float = 0.02,
    settings: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the context is left; entered once its paths answer 200.

    Without paths it is enough that it listens. `settings` are added to its environment.
    """
    env = {**environment(), **(settings or {})}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=env) as running,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _is_up(port, paths):
                if running.poll() is not None or time.monotonic() > deadline:
                    raise BenchmarkFailed(f"{_name(command)} did not start: {_last_line(errors)}")
                time.sleep(poll_seconds)
            yield running
        finally:
            running.terminate()
            try:
                running.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                running.kill()


def call(
    command: Sequence[str],
    job: object = None,
    *,
    seconds: float = 600,
    settings: Mapping[str, str] | None = None,
) -> Any:
    """Run a module to its end: a job in, a result out, both as JSON; `settings` as in `process`."""
    return json.loads(run(command, json.dumps(job), seconds=seconds, settings=settings))


def run(
    command: Sequence[str],
    text: str = "",
    *,
    seconds: float = 120,
    settings: Mapping[str, str] | None = None,
) -> str:
    """Run a command to its end, and return what it printed."""
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=True,
            env={**environment(), **(settings or {})},
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkFailed(f"{_name(command)} did not end within {seconds:g} s") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no word"])[-1]
        raise BenchmarkFailed(f"{_name(command)} failed: {last}") from None
    return done.stdout


def generate(
    what: str,
    port: int,
    requests: Sequence[str],
    *,
    connections: int,
    seconds: float,
    rate: float | None = None,
) -> dict[str, float]:
    """Load a server, called `what` in sentences.

    Returns its `rate` in answers a second, and the percentiles of its latencies in ms.

    Raises `BenchmarkFailed` when a request failed, `FellBehind` when, in the open loop, more than
    one in a hundred (and more than the connections can have under way) was not answered: their
    latencies are not known, and the 99th percentile would be that of the lucky ones.
    """
    job = {
        "host": "127.0.0.1",
        "port": port,
        "requests": requests,
        "connections": connections,
        "seconds": seconds,
        "rate": rate,
    }
    result = call(module("generator"), job, seconds=seconds + 120)
    if result["failed"]:
        raise BenchmarkFailed(
            f"{result['failed']} of {result['failed'] + result['ok']} requests to {what} failed: "
            "a failed request is never throughput, so there is no figure"
        )
    if not result["ok"]:
        raise BenchmarkFailed(f"{what} answered no request within {seconds:g} s")
    due = (rate or 0) * seconds
    if due - result["ok"] > max(0.01 * due, connections):
        raise FellBehind(
            f"{what} answered only {result['ok']} of {due:.0f} requests in the open loop"
        )
    return {"rate": result["ok"] / result["seconds"], **percentiles(result["latencies_ms"])}


def _is_up(port: int, paths: Sequence[str]) -> bool:
    if paths:
        return all(answers(port, path) for path in paths)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _name(command: Sequence[str]) -> str:
    return " ".join(command[2:4]) if command[2] == "chat4all" else command[2]


def _last_line(errors: Any) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it did not answer in time"
