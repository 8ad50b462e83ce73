"""The systemd units: systemd understands them, and what they start runs with what they say."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.running import call, environment, free_ports, until

pytestmark = pytest.mark.slow

FOLDER = Path("deploy/systemd")
PROGRAM = "/opt/chat4all/.venv/bin/chat4all"
UNITS = {"chat4all.service": "chat4all.service", "chat4all@.service": "chat4all@gateway.service"}
# Of 10, as `systemd-analyze security` counts: 0 is shut off, above 5 is exposed.
EXPOSED_MOST = 2.0


def values(unit: str, name: str) -> list[str]:
    """Return what a unit sets under a name."""
    return re.findall(rf"^{name}=(.*)$", (FOLDER / unit).read_text(), re.MULTILINE)


@pytest.fixture(params=UNITS)
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a unit with a program that is there; a template as one of its instances."""
    unit = tmp_path / UNITS[request.param]
    there = Path(sys.executable).with_name("chat4all")
    unit.write_text((FOLDER / request.param).read_text().replace(PROGRAM, str(there)))
    return unit


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_systemd_has_nothing_to_say_against_it(installed: Path) -> None:
    told = analyze("verify", "--man=no", installed)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", UNITS)
def test_only_the_service_itself_is_told_to_end(unit: str) -> None:
    """It finishes what it has accepted, with the help of its processes: pictures, for one."""
    assert values(unit, "KillMode") == ["mixed"]


def test_it_may_do_little(installed: Path) -> None:
    most = f"--threshold={EXPOSED_MOST * 10:.0f}"
    told = analyze("security", "--offline=true", most, installed)
    assert told.returncode == 0, told.stdout


def calls(name: str) -> set[str]:
    """Return the system calls of a name: a call's own, or a set's with the sets in it."""
    if not name.startswith("@"):
        return {name}
    lines = analyze("syscall-filter", name).stdout.splitlines()[1:]
    names = {line.strip() for line in lines if line.strip()[:1] not in ("", "#")}
    return set().union(*map(calls, names))


@pytest.mark.parametrize("unit", UNITS)
def test_the_filter_allows_the_calls_that_it_needs(unit: str) -> None:
    """Hashing lowers its threads' priority, and the limit of open files is raised."""
    allowed: set[str] = set()
    for value in values(unit, "SystemCallFilter"):
        listed = set().union(*map(calls, value.removeprefix("~").split()))
        allowed = allowed - listed if value.startswith("~") else allowed | listed
    assert {"setpriority", "prlimit64", "fchmod", "fdatasync"} <= allowed
    assert not {"mount", "chroot", "bpf", "setuid"} & allowed


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_waits_longer_than_the_services_take(unit: str) -> None:
    assert values(unit, "TimeoutStopSec") == ["15"]
    assert values(unit, "StateDirectoryMode") == ["0700"]


def test_the_one_machine_s_command_runs_and_ends_as_the_unit_expects(tmp_path: Path) -> None:
    unit = "chat4all.service"
    (command,) = values(unit, "ExecStart")
    variables = dict(pair.split("=", 1) for pair in values(unit, "Environment"))
    assert variables["CHAT4ALL_DATA"].startswith("/var/lib/chat4all/")
    data = tmp_path / Path(variables["CHAT4ALL_DATA"]).name
    variables["CHAT4ALL_DATA"] = str(data)
    port, metadata = free_ports(2)
    ports = {"CHAT4ALL_PORT": str(port), "CHAT4ALL_METADATA_PORT": str(metadata)}
    program, *arguments = shlex.split(command)
    assert program == PROGRAM
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "chat4all", *arguments],
            env=environment() | variables | ports,
            stdout=log,
            stderr=log,
            umask=int(values(unit, "UMask")[0], 8),
        )
    try:
        until(lambda: answers(port))
        assert data.stat().st_mode & 0o077 == 0
        assert not {path.name for path in data.iterdir() if path.stat().st_mode & 0o077}
        # No account whose password is in the README.
        form = {"username": "bruno", "password": "test"}
        assert call("POST", f"http://127.0.0.1:{port}/token", form=form)[0] == 401
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(float(values(unit, "TimeoutStopSec")[0])) == 0
    finally:
        process.kill()
        process.wait(30)


def answers(port: int) -> bool:
    try:
        return call("GET", f"http://127.0.0.1:{port}/health/ready")[0] == 200
    except OSError:
        return False
