"""Running a service in this process, and loading modules that only a cluster needs."""

import importlib
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop

from chat4all.domain.errors import StartRefused
from chat4all.settings import Settings


def service(name: str, settings: Settings) -> Coroutine[Any, Any, bool]:
    """Return a service of a cluster, ready to run. It gets only its own part of the settings."""
    serve = getattr(load_cluster_module("chat4all.processes.cluster"), f"serve_{name}")
    running: Coroutine[Any, Any, bool] = serve(getattr(settings, name))
    return running


def run_until_stopped(service: Coroutine[Any, Any, bool]) -> bool:
    """Run a service; return whether it ended because of a signal."""
    # A thread that returns from the disk waits this long for a busy event loop to release the
    # interpreter's lock; the default of 5 ms would be most of the time that a 202 takes.
    sys.setswitchinterval(0.0005)
    return uvloop.run(service)


def load_cluster_module(name: str) -> Any:
    """Return a module that needs the drivers of the extra `chat4all[cluster]`.

    Raises `StartRefused` where they are not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise StartRefused(f"{error.name} is not installed: install chat4all[cluster]") from None
