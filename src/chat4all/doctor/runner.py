"""The runner of all checks, whatever kind of installation they look at.

A check is a generator of findings, asynchronous where it waits for others. It changes nothing, and
need not catch what `run` turns into a finding.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TypeAlias, TypeVar

from chat4all.doctor.findings import Finding, Status
from chat4all.domain.errors import StartRefused, Unavailable

Installation = TypeVar("Installation")

Check: TypeAlias = Callable[[Installation], Iterator[Finding] | AsyncIterator[Finding]]

NamedFinding: TypeAlias = tuple[str, Finding]
"""A finding, with the name of its check before it."""


async def run_all(
    checks: Iterable[Check[Installation]], installation: Installation
) -> list[NamedFinding]:
    """Run the checks one after another: a later one may use what an earlier one found out."""
    return [
        (name_of(check), finding) for check in checks for finding in await run(check, installation)
    ]


async def run(check: Check[Installation], installation: Installation) -> list[Finding]:
    """Return the findings of one check; an error that keeps it from looking is one as well."""
    findings: list[Finding] = []
    try:
        results = check(installation)
        if isinstance(results, AsyncIterator):
            async for finding in results:
                findings.append(finding)  # noqa: PERF401 - those before an error count
        else:
            findings.extend(results)
    except (Unavailable, StartRefused) as error:
        # Its sentence says what to do.
        findings.append(Finding(Status.PROBLEM, str(error)))
    except (OSError, sqlite3.Error) as error:
        # Findings about what then turns out to be unreadable would mislead.
        return [Finding(Status.PROBLEM, f"cannot be checked: {error}", "make it readable")]
    return findings


def name_of(check: Check[Installation]) -> str:
    """Return the name under which findings of a check are printed: that of its function."""
    return check.__name__.replace("_", " ")
