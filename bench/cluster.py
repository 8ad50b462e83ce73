"""`python -m bench.cluster`: a gateway on Kafka, a router on Kafka and Cassandra, and both.

In a checkout with what `make check` installs; the engines are its own (docs/engines.md).
"""

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

import chat4all

from . import cluster_accept, cluster_live, cluster_router, machine
from .cluster_place import a_place
from .running import BenchmarkFailed
from .suite import Part, Result
from .table import table

PARTS = ("accept", "router", "live")


@click.command()
@click.option("--only", type=click.Choice(PARTS), help="One part alone.")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Of each load.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(only: str | None, rounds: int, seconds: float, json_file: Path | None) -> None:
    """Measure, beside floors in the same run."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    parts: dict[str, Part] = {}
    with tempfile.TemporaryDirectory(prefix="chat4all-bench-") as name:
        folder = Path(name)
        found = machine.describe(folder)
        _say(machine.line(found))
        with a_place(folder) as place:
            try:
                if only in {None, "accept"}:
                    done = cluster_accept.measure(place, folder, rounds, seconds, _say)
                    parts["gateway"] = Part(done, cluster_accept.figures(done))
                if only in {None, "router"}:
                    done = cluster_router.measure(place, rounds, _say)
                    parts["router"] = Part(done, cluster_router.figures(done))
                if only in {None, "live"}:
                    done = cluster_live.measure(place, folder, rounds, seconds, _say)
                    parts["live"] = Part(done, cluster_live.figures(done))
            except BenchmarkFailed as error:
                parts["failed"] = Part(None, (), str(error))
    result = Result(chat4all.__version__, started_at, False, found, parts)
    if json_file is not None:
        json_file.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    click.echo(table(result))
    sys.exit(0 if result.complete else 1)


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
