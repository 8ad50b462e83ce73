"""How many durable accepts a second, as a ratio to the floor: `python -m bench.accept`.

Floor and product in turns, five rounds; the medians count. Closed loop with 32 connections for the
rate; then an open loop at half the product's rate for the latency. The generator must reach twice
every measured rate on a static answer in the same run. After each round the router must have stored
all that was accepted. A failed request ends the run: it is never throughput.
"""

import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jwt

from bench import floor
from bench.workload import CONVERSATIONS, USERS, send_requests

CONNECTIONS = 32
SECONDS = 4.0
ROUNDS = 5
FLOOR, STATIC, PRODUCT, METADATA = 18_000, 18_001, 18_002, 18_003
USERS_MADE = [f"user{n}" for n in range(USERS)]
CHATS = [str(uuid.UUID(int=n + 1)) for n in range(CONVERSATIONS)]


@contextlib.contextmanager
def process(*arguments: str, port: int) -> Iterator[None]:
    """Run a module until the context is left; entered once its port answers."""
    # One user of the workload sends more than a person may.
    environment = {**os.environ, "CHAT4ALL_RATE_LIMITS": "off"}
    with subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, env=environment
    ) as running:
        try:
            for _ in range(500):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=1).close()
                    break
                time.sleep(0.02)
            yield
        finally:
            running.terminate()


def generate(port: int, requests: Sequence[str], rate: float | None = None) -> dict[str, Any]:
    """Run the generator in a process of its own; return its rate and its latencies in ms."""
    job = {
        "host": "127.0.0.1",
        "port": port,
        "requests": requests,
        "connections": CONNECTIONS,
        "seconds": SECONDS,
        "rate": rate,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.generator"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    if result["failed"]:
        raise SystemExit(f"{result['failed']} requests failed on port {port}: no figure")
    latencies = statistics.quantiles(result["latencies_ms"], n=100)
    return {"rate": result["ok"] / result["seconds"], "p50": latencies[49], "p99": latencies[98]}


def fill(data: Path) -> list[str]:
    """Put the workload's users and conversations in a new data folder; return the users' tokens."""
    now = int(time.time())
    secret = "b" * 64
    (data / "secret-key").write_text(secret)
    (data / "secret-key").chmod(0o600)
    sessions = {name: str(uuid.uuid4()) for name in USERS_MADE}
    with contextlib.closing(sqlite3.connect(data / "metadata.db")) as db, db:
        db.executemany(
            "INSERT INTO users VALUES (?, ?, ?, x'00', '')", [(n, n, n) for n in USERS_MADE]
        )
        db.executemany(
            "INSERT INTO conversations VALUES (?, 'group', NULL, '{}', '')", [(c,) for c in CHATS]
        )
        db.executemany(
            "INSERT INTO members VALUES (?, ?, 'member')",
            [(chat, name) for chat in CHATS for name in USERS_MADE],
        )
        db.executemany(
            "INSERT INTO sessions VALUES (?, ?, ?)",
            [(sessions[name], name, now + 3600) for name in USERS_MADE],
        )
    claims = {"iss": "chat4all", "aud": "chat4all", "iat": now, "exp": now + 3600}
    return [
        jwt.encode({**claims, "sub": name, "jti": sessions[name]}, secret, "HS256")
        for name in USERS_MADE
    ]


def behind(data: Path) -> int:
    """Return how many accepted records the router has not stored yet."""
    with contextlib.closing(sqlite3.connect(data / "log.db")) as log:
        (end,) = log.execute("SELECT max(offset) FROM records").fetchone()
    with contextlib.closing(sqlite3.connect(data / "store.db")) as store:
        (stored,) = store.execute("SELECT offset FROM followed_log").fetchone()
    return int(end - stored)


def main() -> None:
    """Run, and print one JSON object."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        ports = ["--port", str(PRODUCT), "--metadata-port", str(METADATA)]
        command = ["chat4all", "up", "--no-demo", "--data", str(data), *ports]
        with process(*command, port=PRODUCT):
            pass
        tokens = fill(data)
        floor_requests = send_requests([floor.token(name) for name in USERS_MADE], CHATS)
        with (
            process(*command, port=PRODUCT),
            process("bench.floor", str(FLOOR), port=FLOOR),
            process("bench.static", str(STATIC), port=STATIC),
        ):
            rounds = []
            for _ in range(ROUNDS):
                # New ids each time: a repeated one would be a duplicate and cost less.
                requests = send_requests(tokens, CHATS)
                measured = {
                    "floor": generate(FLOOR, floor_requests)["rate"],
                    "product": generate(PRODUCT, requests)["rate"],
                    "behind": behind(data),
                    "static": generate(STATIC, floor_requests)["rate"],
                }
                half = measured["product"] / 2
                measured["floor_p99_ms"] = generate(FLOOR, floor_requests, half)["p99"]
                requests = send_requests(tokens, CHATS)
                measured["product_p99_ms"] = generate(PRODUCT, requests, half)["p99"]
                rounds.append(measured)
    middle = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    result = {
        "accepts_to_floor": round(middle["product"] / middle["floor"], 2),
        "p99_to_floor": round(middle["product_p99_ms"] / middle["floor_p99_ms"], 1),
        "generator_headroom": round(middle["static"] / max(middle["product"], middle["floor"]), 1),
        "medians": {key: round(value, 2) for key, value in middle.items()},
        "rounds": rounds,
    }
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
