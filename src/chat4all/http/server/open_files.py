"""The open files that the system allows this process, and who gets them."""

import resource
from contextlib import suppress
from math import inf

from chat4all.http.server.limits import CONNECTIONS_MAX, REFUSED_SHARE

OWN_FILES = 100
"""Open files that are not clients' connections."""

PORTS_MAX = 2

HTTP_FILES = PORTS_MAX * (CONNECTIONS_MAX + CONNECTIONS_MAX // REFUSED_SHARE)
"""What HTTP connections need on all ports of a process."""


def files_for_http() -> float:
    """Return how many open files HTTP connections may have: what they need, half of all at most."""
    return min(HTTP_FILES, _files() / 2)


def files_for_sockets() -> float:
    """Return how many open files WebSockets may have: what HTTP connections leave."""
    files = _files()
    return inf if files == inf else files - files_for_http()


def _files() -> float:
    """Return how many clients may have, with the limit raised as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Many systems give 1,024 by default, for old programs that use `select`.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return inf if soft == resource.RLIM_INFINITY else max(2, soft - OWN_FILES)
