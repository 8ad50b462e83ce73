"""The check of this machine's clock."""

import time
from collections.abc import Iterator

from chat4all.adapters.embedded.inspecting import look_at_pair
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine.installation import OneMachine

CLOCK_SECONDS = 60.0
"""How far in the future a record may be before the clock is reported."""


def clock(machine: OneMachine) -> Iterator[Finding]:
    """Check that the clock is not behind accepted records."""
    if not machine.has_pair:
        return
    newest = look_at_pair(machine.folder).newest_ms
    ahead = 0.0 if newest is None else newest / 1000 - time.time()
    if ahead > CLOCK_SECONDS:
        yield Finding(
            Status.PROBLEM,
            f"the newest record is {ahead:.0f} s in the future: the clock is or was wrong",
            "set the clock, by NTP for instance; messages keep their order meanwhile",
        )
    else:
        yield Finding(Status.OK, "now is after all that was accepted")
