"""Restarting a service whenever the source changes, for development: uvicorn's reloader."""

import sys
from functools import partial
from pathlib import Path
from socket import socket

from uvicorn import Config
from uvicorn.supervisors.watchfilesreload import WatchFilesReload

import chat4all
from chat4all.concurrency.output import say
from chat4all.domain.errors import StartRefused
from chat4all.operations.installation import settings_from, start_logging
from chat4all.operations.running import ServiceName, run_until_stopped, service

SOURCE = Path(chat4all.__file__).parent


def run_reloading(name: ServiceName, options: dict[str, object]) -> None:
    """Run a service in a process of its own until SIGTERM or SIGINT, a new one at each change.

    A service that refused to start or has ended is started again at the next change.
    """
    # uvicorn requires an application here; the reloader never loads it.
    config = Config("chat4all", reload=True, reload_dirs=[str(SOURCE)], log_config=None)
    # Not uvicorn's `StatReload`: it misses a change during a restart.
    WatchFilesReload(config, partial(_run, name, options), []).run()


def _run(
    name: ServiceName,
    options: dict[str, object],
    sockets: list[socket] | None,  # noqa: ARG001
) -> None:
    """Run the service, with settings that are read anew."""
    sentences: list[str] = []
    try:
        settings = settings_from(**options)
        start_logging(settings)
        if run_until_stopped(service(name, settings)):
            return
    except* StartRefused as group:
        sentences += map(str, group.exceptions)
    for sentence in sentences:
        say(f"chat4all: {sentence}")
    sys.exit(1)
