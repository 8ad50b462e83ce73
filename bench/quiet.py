"""Rounds that count only when the machine was quiet."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .figures import medians
from .machine import CpuTimes, cpu_times, others_share
from .running import BenchmarkFailed, FellBehind

OTHERS_MAX = 0.05
"""The share of all processors that other processes may use in a round that counts."""

SETTLE_SECONDS = 15.0
"""How long a quiet second is waited for before a round is repeated."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round measured, and the share of the processors that others used meanwhile."""

    number: int
    values: Mapping[str, Any]
    others: float | None

    @property
    def quiet(self) -> bool:
        """Whether it counts. Where nobody can tell (not Linux), it does."""
        return self.others is None or self.others <= OTHERS_MAX

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {"round": self.number, "others_cpu": self.others, **self.values}


@dataclass(frozen=True, slots=True)
class Rounds:
    """The rounds that count, and those that were repeated because of others."""

    kept: list[Round]
    repeated: list[Round] = field(default_factory=list)

    @property
    def medians(self) -> dict[str, Any]:
        """The medians over the rounds that count."""
        return medians([one.values for one in self.kept])

    @property
    def remark(self) -> str | None:
        """The sentence that must stand beside the figures, if there is one."""
        if any(one.others is None for one in self.kept):
            return "this system does not say how much of the processor other processes used"
        noisy = [one.others for one in self.kept if one.others is not None and not one.quiet]
        if not noisy:
            return None
        what = "the machine was never quiet" if len(noisy) == len(self.kept) else "too few quiet"
        return (
            f"{what}: in {len(noisy)} of {len(self.kept)} rounds others used up to "
            f"{max(noisy):.0%} of the processor, and repeating did not help"
        )

    def as_json(self) -> dict[str, Any]:
        """Return them for machines."""
        return {
            "rounds": [one.as_json() for one in self.kept],
            "repeated": [one.as_json() for one in self.repeated],
            "quiet": all(one.quiet for one in self.kept),
            "medians": self.medians,
        }


def quiet_rounds(
    measure: Callable[[], Mapping[str, Any]],
    count: int,
    say: Say,
    *,
    clock: Callable[[], CpuTimes | None] = cpu_times,
    settle: Callable[[], None] | None = None,
) -> Rounds:
    """Measure `count` rounds; repeat those in which others used more than `OTHERS_MAX`.

    At most `count` rounds are repeated. If that was not enough, the least disturbed of them count
    as well (chosen by the disturbance, never by what they measured), and `remark` says so.
    """
    quiet: list[Round] = []
    noisy: list[Round] = []
    trouble: FellBehind | None = None
    number = 0
    while len(quiet) < count and number < 2 * count:
        number += 1
        before = clock()
        try:
            values = measure()
        except FellBehind as error:
            # Somebody else may have taken the processor; in a quiet round it is what it looks like.
            trouble, values = error, {}
        done = Round(number, values, others_share(before, clock()))
        if done.quiet:
            if not values and trouble is not None:
                raise trouble
            quiet.append(done)
        else:
            noisy.append(done)
            again = number < 2 * count
            say(f"others used {done.others:.0%} of the processor" + ": once more" * again)
            if again:
                (settle or wait_for_quiet)()
    usable = sorted((one for one in noisy if one.values), key=lambda one: one.others or 0)
    extra = usable[: count - len(quiet)]
    kept = sorted([*quiet, *extra], key=lambda one: one.number)
    if not kept:
        raise BenchmarkFailed(f"the machine was never quiet, and {trouble}")
    return Rounds(kept, [one for one in noisy if one not in extra])


def wait_for_quiet() -> None:
    """Return after a second in which the others kept quiet, or when patience ends."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        before = cpu_times()
        time.sleep(1)
        share = others_share(before, cpu_times())
        if share is None or share <= OTHERS_MAX:
            return
