"""The picture at the end: how far each figure is from its bar, and the latencies behind them."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from .figures import PERCENTILES, Figure, amount
from .machine import line
from .suite import Result

MET, MISSED, FLOOR, BAR, INK = "#2a7f62", "#c8553d", "#b8bfc6", "#1d3557", "#333333"
WIDTH = 12.0
ROW = 0.62
"""Inches that one figure takes."""

SERIES = {
    "accept": (
        "Latency of an accept at half the product's rate",
        {"floor_at_half": "floor (stores nothing)", "product_at_half": "Chat4All (durable)"},
    ),
    "history": (
        "Latency of a history page, 16 readers, closed loop",
        {"floor": "floor (constant)", "small": "Chat4All, small", "large": "Chat4All, large"},
    ),
}
"""For each part with latencies: a title, and the loads of a round that are drawn."""

COLOURS = {"floor": FLOOR, "floor_at_half": FLOOR, "small": "#8fc1a9"}


def draw(result: Result, file: Path) -> None:
    """Write the picture as PNG."""
    figures = [figure for part in result.parts.values() for figure in part.figures]
    high = [figure for figure in figures if figure.at_least]
    low = [figure for figure in figures if not figure.at_least]
    latencies = [name for name in SERIES if (part := result.parts.get(name)) and part.rounds]

    heights = [0.9 + ROW * len(group) for group in (high, low) if group]
    heights += [3.6] if latencies else []
    text = _header(result)
    top = 0.65 + 0.165 * (text.count("\n") + 1)
    height = top + sum(heights) + 0.2
    layout = ConstrainedLayoutEngine(rect=(0.01, 0.01, 0.98, 1 - top / height), h_pad=0.12)
    canvas = Canvas(figsize=(WIDTH, height), layout=layout, dpi=130)
    canvas.text(
        0.02,
        1 - 0.38 / height,
        f"Chat4All {result.version}: measured on one machine",
        fontsize=16,
        fontweight="bold",
        color=INK,
    )
    canvas.text(
        0.02,
        1 - 0.5 / height,
        text,
        fontsize=9,
        color="#555555",
        verticalalignment="top",
    )
    if not heights:
        canvas.savefig(file, format="png", facecolor="white")
        return
    grid = canvas.add_gridspec(len(heights), max(1, len(latencies)), height_ratios=heights)
    row = 0
    for group, title in (
        (high, "Higher is better: times what it is compared with (the bar is the dark line)"),
        (low, "Lower is better: share of what is allowed (the bar is the dark line)"),
    ):
        if group:
            _bars(canvas.add_subplot(grid[row, :]), group, title)
            row += 1
    for column, name in enumerate(latencies):
        rounds = result.parts[name].rounds
        assert rounds is not None
        _latencies(canvas.add_subplot(grid[row, column]), name, rounds.medians)
    canvas.savefig(file, format="png", facecolor="white")


def _header(result: Result) -> str:
    lines = textwrap.wrap(line(result.machine), 150)
    counts = {len(part.rounds.kept) for part in result.parts.values() if part.rounds}
    if counts:
        rounds = " to ".join(str(n) for n in sorted({min(counts), max(counts)}))
        lines.append(f"Medians of {rounds} round{'s' * (counts != {1})}, {result.started_at}")
    if result.quick:
        lines.append("A quick run: a hint, not a figure.")
    for name, part in result.parts.items():
        remark = part.error or (part.rounds.remark if part.rounds else None)
        if remark:
            lines += textwrap.wrap(f"{name}: {remark}", 150)
    return "\n".join(lines)


def _bars(axes: Axes, figures: Sequence[Figure], title: str) -> None:
    """Draw one bar a figure: its ratio when more is better, else its share of what is allowed."""
    high = figures[0].at_least
    lengths = [figure.value if high else figure.value / figure.bar for figure in figures]
    marks = [figure.bar if high else 1.0 for figure in figures]
    # A bar that is far beyond all marks is cut, so that the others can be seen.
    longest = max(1.75 * max(marks), 1.0)
    places = list(range(len(figures)))[::-1]
    for place, figure, length, mark in zip(places, figures, lengths, marks, strict=True):
        shown = min(length, longest)
        axes.barh(place, shown, height=0.5, color=MET if figure.met else MISSED, zorder=2)
        if length > longest:
            axes.text(
                longest * 0.995,
                place,
                "≫",
                ha="right",
                va="center",
                color="white",
                fontsize=13,
                zorder=4,
            )
        axes.plot([mark, mark], [place - 0.36, place + 0.36], color=BAR, linewidth=2.5, zorder=3)
        axes.text(
            max(shown, mark) + longest * 0.012,
            place,
            _label(figure),
            va="center",
            fontsize=9,
            color=INK,
        )
    if high:
        axes.axvline(1, color=FLOOR, linestyle="--", linewidth=1, zorder=1)
    axes.set_yticks(places, [textwrap.fill(figure.title, 36) for figure in figures], fontsize=9)
    axes.set_ylim(-0.6, len(figures) - 0.4)
    axes.set_xlim(0, longest * 1.62)
    # Beyond the longest bar there is only text.
    steps = MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10]).tick_values(0, longest)
    ticks = [step for step in steps if 0 <= step <= longest]
    axes.set_xticks(ticks, [f"{x:g} x" if high else f"{x:.0%}" for x in ticks], fontsize=9)
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=INK)
    _plain(axes, "x")


def _label(figure: Figure) -> str:
    sign = "≥" if figure.at_least else "≤"
    parts = [f"{amount(figure.value, figure.unit)}  (bar {sign} {amount(figure.bar, figure.unit)})"]
    if figure.ours is not None and figure.theirs is not None:
        parts.append(f"{amount(figure.ours, figure.of)} to {amount(figure.theirs, figure.of)}")
    parts[0] += "" if figure.met else "  MISSED"
    return "\n".join(parts)


def _latencies(axes: Axes, part: str, medians: dict[str, Any]) -> None:
    """Draw the percentiles of the loads of one part."""
    title, loads = SERIES[part]
    names = [f"p{share:g}" for share in PERCENTILES]
    for load, label in loads.items():
        values = [medians[load][name] for name in names]
        colour = COLOURS.get(load, MET)
        axes.plot(names, values, marker="o", markersize=5, linewidth=2, color=colour, label=label)
    highest = max(medians[load][name] for load in loads for name in names)
    lowest = min(medians[load][name] for load in loads for name in names)
    axes.set_yscale("log")
    axes.set_ylim(lowest / 1.6, highest * 1.8)
    steps = [m * 10**e for e in range(-3, 5) for m in (1, 2, 5)]
    axes.set_yticks([step for step in steps if lowest / 1.6 <= step <= highest * 1.8])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g} ms"))
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=INK)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    axes.tick_params(labelsize=9)
    _plain(axes, "y")


def _plain(axes: Axes, grid: str) -> None:
    axes.grid(axis="x" if grid == "x" else "y", color="#e6e8eb", zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
