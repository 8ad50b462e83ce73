"""A process's calls on files and sockets, in order, traced by strace."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.running import Running

CALLS = "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync"

_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<fd>\d+)<(?P<file>[^>]*)>(?P<arguments>.*)", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<arguments>.*)", re.DOTALL)
_RESULT = re.compile(r"\) += (?P<result>-?\d+)[^=]*\Z")


@dataclass
class Call:
    """One system call: the lines of the trace where it began and returned (-1: never)."""

    name: str
    file: str
    arguments: str
    began: int
    returned: int = -1
    result: int = -1


def command(trace: Path, product: Sequence[str]) -> list[str]:
    """Return the command that runs the product under strace, which is its child: see `-D`."""
    options = ["-f", "-D", "-y", "-q", "-s", "8192", "-e", f"trace={CALLS}", "-e", "signal=none"]
    return ["strace", *options, "-o", str(trace), *product]


def tracer(running: Running) -> Path:
    """Return what is there as long as strace has not written everything."""
    assert running.process is not None
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    pid = re.search(r"^TracerPid:\s+([1-9]\d*)$", status, re.MULTILINE)
    assert pid is not None, "nobody traces it"
    return Path(f"/proc/{pid[1]}")


def read(trace: Path) -> list[Call]:
    """Return the calls in the order in which they began.

    strace writes a line when a call is entered and when it returns, and lets the thread go on only
    then: what a thread did because another's call had returned stands below that.
    """
    calls: list[Call] = []
    open_calls: dict[str, Call] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        if (parts := _LINE.match(line)) is None:
            continue
        pid, rest = parts["pid"], parts["rest"]
        if resumed := _RESUMED.match(rest):
            call = open_calls.pop(pid, None)
            if call is None:
                continue
            call.arguments += resumed["arguments"]
        elif found := _CALL.match(rest):
            call = Call(found["name"], found["file"], found["arguments"], number)
            calls.append(call)
            if rest.endswith("<unfinished ...>"):
                open_calls[pid] = call
                continue
        else:
            continue
        if returned := _RESULT.search(call.arguments):
            call.returned, call.result = number, int(returned["result"])
    return calls


def check_durability(calls: Sequence[Call], accepted: Sequence[str]) -> None:
    """Raise AssertionError unless each id's record was synced before its 202 was begun."""
    log = [call for call in calls if call.file.endswith("/log.db-wal")]
    syncs = [c for c in log if c.name in ("fsync", "fdatasync") and c.result == 0]
    answers = [c for c in calls if "socket:" in c.file or c.file.startswith("TCP")]
    for message_id in accepted:
        told = [c for c in answers if message_id in c.arguments and "accepted" in c.arguments]
        assert len(told) == 1, f"{message_id} was told {len(told)} times"
        written = [c for c in log if message_id in c.arguments and c.result > 0]
        assert written, f"{message_id} was never written"
        first = min(call.returned for call in written)
        assert any(first < s.began and s.returned < told[0].began for s in syncs), (
            f"{message_id} was answered before its record was on the disk"
        )
