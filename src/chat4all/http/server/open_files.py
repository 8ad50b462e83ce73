"""The open files that the system allows this process."""

import resource
from contextlib import suppress
from math import inf

OWN_FILES = 100
"""Open files that are not clients' connections."""


def files_of_each_kind() -> float:
    """Return how many files HTTP connections may have in all, and how many WebSockets: half each.

    The limit is raised as far as the system allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Many systems give 1,024 by default, for old programs that use `select`.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return inf if soft == resource.RLIM_INFINITY else max(2, soft - OWN_FILES) // 2
