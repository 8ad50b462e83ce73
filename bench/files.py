"""Files: the rate of an upload to that of a copy, and messages beside uploads.

Each round: a copy of so many bytes in pieces of 8 MiB, each synced before the next is written
(`fdatasync`); the same bytes uploaded by tus; accepts in an open loop with nothing else; the same
while four users upload one file after another as fast as they can.
"""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .figures import Figure
from .filling import CHATS, fill_people
from .quiet import Rounds, Say, quiet_rounds
from .running import (
    HEALTH,
    BenchmarkFailed,
    environment,
    free_ports,
    generate,
    module,
    process,
    product,
)
from .workload import send_requests

COPIED_BYTES = 256 * 1024 * 1024
PIECE_BYTES = 8 * 1024 * 1024
REQUEST_BYTES = 64 * 1024 * 1024
BESIDE_BYTES = 128 * 1024 * 1024
BESIDE_REQUEST_BYTES = 8 * 1024 * 1024
"""Small, so that those under way when the accepts end count for little."""

UPLOADERS = 4
CONNECTIONS = 32
ACCEPTS_RATE = 500.0
"""Accepts a second beside the uploads, open loop."""

END_SECONDS = 60.0

Values = Mapping[str, Any]


def copy_rate(folder: Path, size: int) -> float:
    """Return the bytes a second of a copy that is synced piece by piece."""
    piece, path = memoryview(bytes(PIECE_BYTES)), folder / "copy"
    started = time.monotonic()
    with path.open("wb", buffering=0) as file:
        for _ in range(size // PIECE_BYTES):
            file.write(piece)
            os.fdatasync(file.fileno())
    rate = size / (time.monotonic() - started)
    path.unlink()
    return rate


@contextlib.contextmanager
def uploading(job: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Upload while in this context; then the mapping has the bytes and the seconds."""
    found: dict[str, float] = {}
    with subprocess.Popen(
        module("file_uploads"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as running:
        assert running.stdin is not None
        running.stdin.write(json.dumps(job) + "\n")
        running.stdin.flush()
        try:
            yield found
        except BaseException:
            running.kill()
            raise
        output, errors = running.communicate(timeout=END_SECONDS)
        if running.returncode != 0:
            raise BenchmarkFailed(f"uploading failed: {(errors.splitlines() or ['no word'])[-1]}")
        found |= json.loads(output)


def measure(folder: Path, rounds: int, seconds: float, say: Say, *, size: int) -> Rounds:
    """Run; `seconds` is the length of each load, `size` the bytes of the upload."""
    data = folder / "files"
    port, metadata_port = free_ports(2)
    command = product(data, port, metadata_port, "--no-demo")
    with process(command, port, *HEALTH):
        pass
    tokens = fill_people(data)

    def accepts() -> dict[str, float]:
        requests = send_requests(tokens, CHATS)
        return generate(
            "the product",
            port,
            requests,
            connections=CONNECTIONS,
            seconds=seconds,
            rate=ACCEPTS_RATE,
        )

    def one_round() -> Values:
        copied = copy_rate(folder, size)
        alone = {
            "port": port,
            "tokens": tokens[:1],
            "bytes": size,
            "request_bytes": REQUEST_BYTES,
            "once": True,
        }
        with uploading(alone) as uploaded:
            pass
        rate = uploaded["bytes"] / uploaded["seconds"]
        quiet = accepts()
        beside = {
            "port": port,
            "tokens": tokens[:UPLOADERS],
            "bytes": BESIDE_BYTES,
            "request_bytes": BESIDE_REQUEST_BYTES,
            "once": False,
        }
        with uploading(beside) as others:
            loaded = accepts()
        busy = others["bytes"] / others["seconds"]
        say(
            f"copy {copied / 2**20:,.0f} MiB/s, upload {rate / 2**20:,.0f} MiB/s; p99 of an accept "
            f"{quiet['p99']:.1f} ms, beside uploads of {busy / 2**20:,.0f} MiB/s "
            f"{loaded['p99']:.1f} ms"
        )
        return {
            "copy": {"rate": copied},
            "upload": {"rate": rate},
            "accepts": quiet,
            "accepts_beside_uploads": loaded,
            "uploads": {"rate": busy},
        }

    with process(command, port, *HEALTH):
        return quiet_rounds(one_round, rounds, say)


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars."""
    middle = rounds.medians
    ours, copied = middle["upload"]["rate"], middle["copy"]["rate"]
    loaded, quiet = middle["accepts_beside_uploads"]["p99"], middle["accepts"]["p99"]
    return [
        Figure(
            "upload_to_copy",
            "Upload of a file, to a copy of the same bytes that is synced as it is",
            ours / copied,
            0.7,
            True,
            ours=ours / 2**20,
            theirs=copied / 2**20,
            of="MiB/s",
        ),
        Figure(
            "accept_p99_beside_uploads",
            f"p99 of an accept at {ACCEPTS_RATE:,.0f}/s while {UPLOADERS} users upload",
            loaded / quiet,
            2.0,
            False,
            ours=loaded,
            theirs=quiet,
            of="ms",
        ),
    ]
