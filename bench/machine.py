"""What a figure was measured on, and how much of the processor others used meanwhile."""

import os
import platform
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .figures import percentile

SYNCS = 100


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Ticks since the machine started: all there were, used, stolen, and used by our own tree."""

    total: int
    used: int
    stolen: int
    own: int


def cpu_times(proc: Path = Path("/proc"), root: int | None = None) -> CpuTimes | None:
    """Read the counters now; None where there are none (not Linux).

    Time in interrupts counts as nobody's: most of it is our own traffic on loopback, and the kernel
    does not say whose it is.
    """
    try:
        line = (proc / "stat").read_text().splitlines()[0]
    except OSError:
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, line.split()[1:9])
    return CpuTimes(
        total=user + nice + system + idle + iowait + irq + softirq + steal,
        used=user + nice + system,
        stolen=steal,
        own=_own(proc, os.getpid() if root is None else root),
    )


def others_share(before: CpuTimes | None, after: CpuTimes | None) -> float | None:
    """Return the share (0..1) of all processors that others used: processes and other machines."""
    if before is None or after is None or after.total <= before.total:
        return None
    used = (after.used - before.used) - (after.own - before.own)
    return (max(0, used) + after.stolen - before.stolen) / (after.total - before.total)


def tree(root: int, proc: Path = Path("/proc")) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for process, fields in _stats(proc).items():
        children.setdefault(int(fields[1]), []).append(process)
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def _own(proc: Path, root: int) -> int:
    """Return the ticks of a process tree, with those of its members that have ended."""
    stats = _stats(proc)
    # utime, stime, and cutime, cstime: what ended children used, handed up when they are waited for
    return sum(
        sum(map(int, stats[process][11:15])) for process in tree(root, proc) if process in stats
    )


def _stats(proc: Path) -> dict[int, list[str]]:
    """Return the fields of each /proc/PID/stat from the state on."""
    found = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue  # it has ended meanwhile
            # The name, in brackets, may hold anything.
            found[int(folder.name)] = text[text.rindex(")") + 2 :].split()
    return found


def memory_of(root: int, proc: Path = Path("/proc")) -> dict[str, Any]:
    """Return the memory of a process tree in MiB: the sum of PSS, and each process's PSS and RSS.

    PSS counts a page that n processes share as 1/n in each, so that the sum counts it once.
    """
    processes = []
    for process in tree(root, proc):
        try:
            lines = (proc / str(process) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
        processes.append({"pss_mib": sizes["Pss"] / 1024, "rss_mib": sizes["Rss"] / 1024})
    return {"pss_mib": sum(p["pss_mib"] for p in processes), "processes": processes}


def describe(folder: Path) -> dict[str, Any]:
    """Return what the machine is, and how long a sync takes where the benchmark writes."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "filesystem": filesystem(folder),
        **_sync_times(folder),
    }


def line(machine: dict[str, Any]) -> str:
    """Return the machine in one line."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores; {machine['kernel']}; "
        f"Python {machine['python']}; SQLite {machine['sqlite']}; "
        f"{machine['filesystem']}, fdatasync {machine['fdatasync_ms']['p50']:.2f} ms"
    )


def filesystem(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system that holds a folder."""
    try:
        table = [entry.split()[:3] for entry in mounts.read_text().splitlines()]
    except OSError:
        return "unknown file system"
    above = {str(folder.resolve()), *map(str, folder.resolve().parents)}
    inside = [(point, kind) for _, point, kind in table if point in above]
    # Of two mounts on one point the later one is seen.
    return max(reversed(inside), key=lambda mount: len(mount[0]), default=("", "unknown"))[1]


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [part.split(":", 1)[1].strip() for part in text.splitlines() if "model name" in part]
    return names[0] if names else platform.machine()


def _sync_times(folder: Path) -> dict[str, Any]:
    """Return how long appending a page and syncing it takes, in ms."""
    took = []
    sync = os.fdatasync if sys.platform != "darwin" else os.fsync
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b"x" * 4096)
            started = time.perf_counter()
            sync(file.fileno())
            took.append((time.perf_counter() - started) * 1000)
    return {"fdatasync_ms": {f"p{p}": round(percentile(took, p), 3) for p in (50, 99)}}
