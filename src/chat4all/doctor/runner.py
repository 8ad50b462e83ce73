"""The runner of all checks, for any kind of installation.

A check is a generator of findings, asynchronous where it waits. It changes nothing, and need not
catch the errors that `run` turns into findings.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TypeAlias, TypeVar

from chat4all.doctor.findings import Finding, Status
from chat4all.domain.errors import StartRefused, Unavailable

Installation = TypeVar("Installation")

Check: TypeAlias = Callable[[Installation], Iterator[Finding] | AsyncIterator[Finding]]

NamedFinding: TypeAlias = tuple[str, Finding]
"""A check's name and a finding of it."""


async def run_all(
    checks: Iterable[Check[Installation]], installation: Installation
) -> list[NamedFinding]:
    """Run the checks one after another: a later one may use results of an earlier one.

    A problem that keeps several of them from their work is found once.
    """
    findings: list[NamedFinding] = []
    problems: set[str] = set()
    for check in checks:
        for finding in await run(check, installation):
            if finding.status is Status.PROBLEM:
                if finding.says in problems:
                    continue
                problems.add(finding.says)
            findings.append((name_of(check), finding))
    return findings


async def run(check: Check[Installation], installation: Installation) -> list[Finding]:
    """Return the findings of one check; an error that prevents the check is a finding too."""
    findings: list[Finding] = []
    try:
        results = check(installation)
        if isinstance(results, AsyncIterator):
            async for finding in results:
                findings.append(finding)  # noqa: PERF401 - those before an error count
        else:
            findings.extend(results)
    except (Unavailable, StartRefused) as error:
        # The error's sentence says what to do.
        findings.append(Finding(Status.PROBLEM, str(error)))
    except (OSError, sqlite3.Error) as error:
        # Earlier findings would mislead when the rest turns out to be unreadable.
        return [Finding(Status.PROBLEM, f"cannot be checked: {error}", "make it readable")]
    return findings


def name_of(check: Check[Installation]) -> str:
    """Return a check's name in the output, which is its function's."""
    return check.__name__.replace("_", " ")
