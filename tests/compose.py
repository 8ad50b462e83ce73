"""`docker-compose.yml` as a test sees it."""

from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(Path("docker-compose.yml").read_text())[
    "services"
]
ENGINES = ("kafka", "cassandra", "cockroachdb", "s3")
JOBS = ("secrets", "migrate", "demo")
DONE, HEALTHY = "service_completed_successfully", "service_healthy"


def conditions(name: str) -> dict[str, str]:
    """Return what a service waits for, and until when."""
    return {other: how["condition"] for other, how in SERVICES[name].get("depends_on", {}).items()}


def order(*names: str) -> list[str]:
    """Return these and all that they wait for, each after what it waits for."""
    found: dict[str, dict[str, str]] = {}
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        found[name] = conditions(name)
        wanted += found[name]
    return list(TopologicalSorter(found).static_order())


def health_check(name: str) -> list[str]:
    """Return the command that says whether a service is healthy."""
    command: list[str]
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    assert kind == "CMD"  # the image has no shell that is meant to be used
    return command
