"""Percentiles, medians, and figures beside their bars."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PERCENTILES = (50, 75, 90, 95, 99, 99.9)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` percent of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the percentiles that are reported, by name: `p50` and so on."""
    ordered = sorted(values)
    return {f"p{share:g}": percentile(ordered, share) for share in PERCENTILES}


def medians(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the median of every number over the rounds, in the shape that the rounds have.

    What is not a number in each of them is left out.
    """
    found: dict[str, Any] = {}
    for key, first in rounds[0].items():
        values = [one[key] for one in rounds]
        if isinstance(first, Mapping):
            found[key] = medians(values)
        elif all(isinstance(value, int | float) for value in values):
            found[key] = statistics.median(values)
    return found


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value and its bar: what `at_least` or, otherwise, at most it shall be.

    A ratio (unit `x`) also says what was divided: `ours` by `theirs`, both in `of`.
    """

    key: str
    title: str
    value: float
    bar: float
    at_least: bool
    unit: str = "x"
    ours: float | None = None
    theirs: float | None = None
    of: str = ""

    @property
    def met(self) -> bool:
        """Whether the value, unrounded, is on the right side of the bar."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "key": self.key,
            "title": self.title,
            "value": round(self.value, 4),
            "unit": self.unit,
            "bar": self.bar,
            "bar_is": "at least" if self.at_least else "at most",
            "met": self.met,
            "product": self.ours,
            "compared_with": self.theirs,
            "of": self.of,
        }


def amount(value: float, unit: str) -> str:
    """Return a value with its unit, as people write it."""
    if unit == "x":
        return f"{value:.2f} x"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{'' if unit.startswith('/') else ' '}{unit}"
