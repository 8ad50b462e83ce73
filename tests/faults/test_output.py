"""Output that nobody takes, and signals that are ignored: no reason to stop, and none to hang."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.running import PRODUCT, Running, call, environment, until
from tests.faults.test_router_process import is_there, router_of
from tests.folders import make_folder
from tests.pipes import full_pipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LITTLE_ROOM = (
    sys.executable,
    "-c",
    "from chat4all.concurrency import output; output.QUEUE_BYTES = 4096; "
    "from chat4all.cli import main; main()",
)
"""The product, of whose output little may wait: what it logs of refused requests has a rate."""

STOP_SECONDS = 5.0


def redirected(how: str, *before: str, product: Sequence[str] = PRODUCT) -> list[str]:
    """Return the product as a shell starts it with its output going somewhere else."""
    return ["bash", "-c", f'exec {" ".join(before)} "$@" {how}', "bash", *product]


@contextmanager
def started(tmp_path: Path, command: Sequence[str], **variables: str) -> Iterator[Running]:
    running = Running(tmp_path, command=command)
    running._environment |= variables
    running.start()
    try:
        yield running
    finally:
        running.kill()


def stops(running: Running, number: int = signal.SIGTERM) -> None:
    """Stop it, and assert that it and its router end in time, with the status of success."""
    assert running.process is not None
    router = router_of(running)
    began = time.monotonic()
    running.signal(number)
    assert running.process.wait(30) == 0
    until(lambda: not is_there(router))
    assert time.monotonic() - began < STOP_SECONDS


def refused_requests(running: Running, count: int) -> None:
    """Make it log, a line for each."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    for _ in range(count):
        connection.request("GET", "/v1/conversations")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 401
    connection.close()


@pytest.mark.parametrize("streams", ["2>{}", ">{} 2>&1"])
def test_a_reader_of_the_log_that_stops_is_not_waited_for(tmp_path: Path, streams: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with started(tmp_path, redirected(streams.format(pipe))) as running:
        refused_requests(running, 2_000)  # far more than a pipe takes
        token = running.token("ana")
        assert call("GET", f"{running.gateway}/v1/conversations", token=token)[0] == 200
        assert call("GET", f"{running.gateway}/health/ready")[0] == 200
        stops(running)
    os.close(reader)


def test_a_reader_that_comes_back_is_told_what_it_missed(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with started(tmp_path, redirected(f"2>{pipe}", product=LITTLE_ROOM)) as running:
        refused_requests(running, 2_000)
        read = b""

        def told() -> bool:
            nonlocal read
            try:
                read += os.read(reader, 1 << 20)
            except BlockingIOError:
                time.sleep(0.01)
            return b"lines of the log were dropped" in read

        until(told)
    os.close(reader)


@pytest.mark.parametrize(
    "how",
    [">/dev/full 2>&1", "2>/dev/full", "> >(true) 2>&1", ">&- 2>&-", "<&- >&- 2>&-", "2>&-"],
)
def test_output_that_fails_ends_nothing(tmp_path: Path, how: str) -> None:
    with started(tmp_path, redirected(how)) as running:
        refused_requests(running, 50)
        assert call("GET", f"{running.gateway}/health/ready")[0] == 200
        # No file got the number of a closed descriptor.
        assert running.process is not None
        for descriptor in (0, 1, 2):
            target = str(Path(f"/proc/{running.process.pid}/fd/{descriptor}").readlink())
            assert target.startswith(("/dev/", "pipe:", str(tmp_path / "log"))), target
        stops(running)
    with started(tmp_path, PRODUCT) as again:
        again.token("ana")


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
)
def test_an_ascii_locale_shows_the_welcome_as_it_is(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    with started(tmp_path, PRODUCT, **variables) as running:
        until(lambda: "Olá!" in running.log())
        stops(running)


def command(how: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*redirected(how), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
    )


def test_commands_whose_output_is_the_product(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    users = ("users", "audit", "--data", folder)
    name = "ana@example.com"
    created = subprocess.run(
        [*PRODUCT, "users", "create", "ana", "--email", name, "--password-stdin", "--data", folder],
        input="long enough\n",
        text=True,
        check=False,
        env=environment(),
    )
    assert created.returncode == 0
    # A reader that has gone before anything is written.
    ended = command("> >(exec >&- <&-; true)", *users)
    assert (ended.returncode in {0, 141}, ended.stderr) == (True, "")
    full = command(">/dev/full", *users)
    assert full.returncode == 1
    assert full.stderr == "chat4all: the output cannot be written (No space left on device)\n"
    closed = command(">&-", *users)
    assert (closed.returncode, closed.stderr) == (0, "")
    refused = command("2>/dev/full", "users", "list", "--data", tmp_path / "nothing")
    assert refused.returncode == 1
    help_ = command(">/dev/full", "--help")
    assert (help_.returncode, help_.stderr) == (1, full.stderr)


def test_commands_wait_for_nobody_who_reads_what_they_say_besides(tmp_path: Path) -> None:
    """As a cron job whose logger has stopped."""
    folder = make_folder(tmp_path / "data")
    backup = tmp_path / "backup"
    cases = [
        ("stderr", ("backup", backup, "--data", folder), 0),
        ("stderr", ("users", "list", "--data", tmp_path / "nothing"), 1),
        ("stdout", ("ready", "--port", "1"), 1),
    ]
    for stream, arguments, status in cases:
        reader, taken = full_pipe()
        with os.fdopen(reader, "rb"), os.fdopen(taken, "wb"):
            ended = subprocess.run(
                [*PRODUCT, *map(str, arguments)],
                env=environment() | {"CHAT4ALL_UNKNOWN": "1"},
                timeout=30,
                check=False,
                stdout=taken if stream == "stdout" else subprocess.DEVNULL,
                stderr=taken if stream == "stderr" else subprocess.DEVNULL,
            )
        assert ended.returncode == status, arguments
    assert (backup / "manifest.json").is_file()


def test_nohup_holds_and_a_background_job_keeps_what_its_shell_ignored(tmp_path: Path) -> None:
    nohup = redirected("", "nohup")
    with started(tmp_path, nohup) as running:
        running.signal(signal.SIGHUP)
        os.kill(router_of(running), signal.SIGHUP)
        assert call("GET", f"{running.gateway}/health/ready")[0] == 200
        stops(running)
    ignoring = ["bash", "-c", "trap '' INT; exec \"$@\"", "bash", *PRODUCT]
    with started(tmp_path, ignoring) as running:
        running.signal(signal.SIGINT)
        assert call("GET", f"{running.gateway}/health/ready")[0] == 200
        stops(running, signal.SIGHUP)
    with started(tmp_path, PRODUCT) as running:
        stops(running, signal.SIGINT)


def test_a_name_that_is_no_setting_is_one_warning(tmp_path: Path) -> None:
    with started(tmp_path, PRODUCT, CHAT4ALL_SOMETHING="1", CHAT4ALL_OTHER_THING="2") as running:
        until(lambda: "no settings are ignored" in running.log())
        (line,) = [one for one in running.log().splitlines() if "no settings" in one]
        assert "CHAT4ALL_SOMETHING" in line
        assert "CHAT4ALL_OTHER_THING" in line
        stops(running)
