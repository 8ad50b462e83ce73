"""The check of the scanner of files, for any kind of installation."""

from collections.abc import AsyncIterator
from typing import Protocol

from chat4all.adapters.clamd import Clamd
from chat4all.doctor.findings import Finding, Status
from chat4all.settings import Settings


class _Installation(Protocol):
    @property
    def settings(self) -> Settings: ...


async def scanner(installation: _Installation) -> AsyncIterator[Finding]:
    """Check that the scanner answers, where one is set up."""
    if (address := installation.settings.clamd_address) is not None:
        clamd = Clamd(address)
        await clamd.ping()
        yield Finding(Status.OK, f"{clamd} answers")
