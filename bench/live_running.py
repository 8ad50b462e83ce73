"""The clients of live delivery, while a benchmark runs."""

import json
import subprocess
from collections.abc import Mapping, Sequence

from .figures import percentiles
from .running import BenchmarkFailed, environment, module

PATIENCE_SECONDS = 60.0
CONNECTIONS = 32


class Clients:
    """The generator, connected; leaving the context ends it."""

    def __init__(
        self,
        what: str,
        *,
        port: int,
        sockets: Sequence[str],
        positions: Mapping[str, str] | None = None,
        requests: Sequence[str] = (),
        messages: int = 0,
        deliveries: int = 0,
        rate: float | None = None,
    ) -> None:
        self._what = what
        self._expected = messages * deliveries
        self._job = {
            "host": "127.0.0.1",
            "port": port,
            "sockets": sockets,
            "positions": positions or {},
            "requests": requests,
            "connections": min(CONNECTIONS, max(1, messages)),
            "messages": messages,
            "deliveries": deliveries,
            "rate": rate,
            "patience": PATIENCE_SECONDS,
        }

    def __enter__(self) -> "Clients":
        self._process = subprocess.Popen(
            module("live_client"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._job) + "\n")
        self._process.stdin.flush()
        self.resumed_ms: list[float] = json.loads(self._process.stdout.readline() or "[]")
        if self._process.stdout.readline() != "ready\n":
            self.__exit__()
            raise BenchmarkFailed(f"not all sockets to {self._what} were opened and resumed")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def result(self) -> dict[str, float]:
        """Return deliveries a second and the percentiles of their latencies in ms."""
        assert self._process.stdout is not None
        found = json.loads(self._process.stdout.readline())
        if found["failed"] or found["deliveries"] != self._expected:
            raise BenchmarkFailed(
                f"{found['deliveries']:,} of {self._expected:,} deliveries came from {self._what}, "
                f"{found['failed']} requests or connections failed"
            )
        rate = found["deliveries"] / max(found["seconds"], 1e-6)
        return {"rate": rate, **percentiles(found["latencies_ms"])}
