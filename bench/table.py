"""The table at the end, for people."""

from collections.abc import Iterator

from .figures import Figure, amount
from .machine import line
from .suite import Result

HEADER = ("", "bar", "measured", "", "product", "compared with")


def table(result: Result) -> str:
    """Return it, with the remarks that belong to it."""
    rows = [
        HEADER,
        *(_row(figure) for part in result.parts.values() for figure in part.figures),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(
            cell.ljust(width) if column in {0, 3} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], "", *_remarks(result)])


def _row(figure: Figure) -> tuple[str, ...]:
    sign = ">=" if figure.at_least else "<="
    return (
        figure.title,
        f"{sign} {amount(figure.bar, figure.unit)}",
        amount(figure.value, figure.unit),
        "met" if figure.met else "MISSED",
        "" if figure.ours is None else amount(figure.ours, figure.of),
        "" if figure.theirs is None else amount(figure.theirs, figure.of),
    )


def _remarks(result: Result) -> Iterator[str]:
    yield f"Chat4All {result.version}; {line(result.machine)}"
    if result.quick:
        yield "A quick run: it shows that everything works; its figures are no more than a hint."
    for name, part in result.parts.items():
        if part.error:
            yield f"{name}: no figure: {part.error}"
        elif part.rounds:
            if part.rounds.remark:
                yield f"{name}: {part.rounds.remark}"
            lag = [
                one.values["router"]["largest_lag"] for one in part.rounds.kept if name == "accept"
            ]
            if lag:
                yield f"accept: the router was at most {max(lag):,.0f} messages behind"
