"""Ratios and tables: Markdown that is aligned, so that it reads well on a terminal, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .contestants import EAGER, OURS
from .timing import Outcome

Outcomes = dict[str, Outcome]

BEST_EAGER = "eager"
"""The name, in bars and ratios, of PyTorch's better memory layout."""


@dataclass(frozen=True)
class Ratio:
    """Our time over a peer's, and what we wanted.

    Args:
        ours: the contestant of ours.
        peer: a contestant, or "eager".
        value: ratio of the medians; None where there is none to report.
        bar: the largest ratio that was wanted, if any.
    """

    ours: str
    peer: str
    value: float | None
    bar: float | None

    @property
    def verdict(self) -> str:
        """Whether the bar is met: "pass", "miss", or nothing."""
        if self.value is None or self.bar is None:
            return ""
        return "pass" if self.value <= self.bar else "miss"


def comparable(outcomes: Outcomes) -> dict[str, float]:
    """Return the medians, in seconds, of all that did the same work."""
    return {name: o.median for name, o in outcomes.items() if o.median is not None and o.same_work}


def better_eager(outcomes: Outcomes) -> float | None:
    """Return the time of PyTorch's better memory layout, in seconds, or None where neither was measured."""
    medians = comparable(outcomes)
    return min((medians[name] for name in EAGER if name in medians), default=None)


def ratios(outcomes: Outcomes, bars: dict[str, float]) -> list[Ratio]:
    """Return the ratios of our times to everybody else's."""
    medians = comparable(outcomes)
    ours = [name for name in outcomes if name.startswith(OURS.name)]
    times = {BEST_EAGER: better_eager(outcomes)} if any(name in EAGER for name in outcomes) else {}
    times |= {name: medians.get(name) for name in outcomes if name not in ours}
    found = []
    for name in ours:
        for peer, time in times.items():
            value = medians[name] / time if time is not None and name in medians else None
            found.append(Ratio(name, peer, value, bars.get(peer)))
    return found


def milliseconds(outcome: Outcome | None) -> str:
    """Return a table's cell: the median in milliseconds; or why there is none."""
    if outcome is None:
        return "-"
    if outcome.failure is not None:
        return "failed"
    if outcome.median is None:
        return "-"
    differs = outcome.deviation is not None and not outcome.same_work
    return significant(outcome.median * 1e3) + (" (other results)" if differs else "")


def spread(outcome: Outcome | None) -> str:
    """Return a table's cell: the quartiles in milliseconds."""
    if outcome is None or outcome.quartiles is None:
        return "-"
    first, third = outcome.quartiles
    return f"{significant(first * 1e3)} .. {significant(third * 1e3)}"


def significant(number: float) -> str:
    """Return a number with three significant digits, or as many as its whole part has."""
    digits = len(str(int(abs(number)))) if abs(number) >= 1 else 0
    if digits >= 3:
        return f"{number:.0f}"
    if digits:
        return f"{number:.{3 - digits}f}"
    return f"{number:.3g}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns; all but the first are set to the right."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    widths = [max(width, 2) for width in widths]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        others = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return "| " + " | ".join((first, *others)) + " |"

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
    return "\n".join([line(header), rule, *map(line, rows)])


def times_table(measured: dict[str, Outcomes], contestants: Sequence[str]) -> str:
    """Return the medians of all contestants, in milliseconds per step, workload by workload."""
    present = [name for name in contestants if any(name in outcomes for outcomes in measured.values())]
    rows = [[title, *(milliseconds(outcomes.get(name)) for name in present)] for title, outcomes in measured.items()]
    return markdown(["ms per step", *present], rows)


def spreads_table(measured: dict[str, Outcomes], contestants: Sequence[str]) -> str:
    """Return the quartiles of all contestants, in milliseconds per step, workload by workload."""
    present = [name for name in contestants if any(name in outcomes for outcomes in measured.values())]
    rows = [[title, *(spread(outcomes.get(name)) for name in present)] for title, outcomes in measured.items()]
    return markdown(["ms per step, quartiles", *present], rows)


def ratios_table(measured: dict[str, list[Ratio]]) -> str:
    """Return our times over the others', workload by workload, each with its bar and whether it is met."""
    pairs = list(dict.fromkeys((ratio.ours, ratio.peer) for found in measured.values() for ratio in found))
    several = len({ours for ours, _ in pairs}) > 1
    rows = []
    for title, found in measured.items():
        by_pair = {(ratio.ours, ratio.peer): ratio for ratio in found}
        rows.append([title, *(_ratio_cell(by_pair.get(pair)) for pair in pairs)])
    names = {BEST_EAGER: "PyTorch eager, better layout"}
    header = [f"{ours} / {names.get(peer, peer)}" if several else names.get(peer, peer) for ours, peer in pairs]
    return markdown(["our time / theirs", *header], rows)


def operations_table(measured: Sequence[tuple[str, bool, Outcomes]]) -> str:
    """Return a table of single operations from (title, whether forward alone, outcomes).

    The forward pass alone (or an optimiser's update) and both passes stand side by side, each with our time, PyTorch's
    in its better layout, and the ratio.
    """
    cells: dict[str, list[str]] = {}
    for title, forward_alone, outcomes in measured:
        name = title.removesuffix(", forward").removesuffix(", both")
        row = cells.setdefault(name, ["-"] * 6)
        ours, theirs = outcomes.get(OURS.name), better_eager(outcomes)
        first = 0 if forward_alone else 3
        row[first] = milliseconds(ours)
        if theirs is not None:
            row[first + 1] = significant(theirs * 1e3)
            if ours is not None and ours.median is not None:
                row[first + 2] = f"{ours.median / theirs:.2f}"
    header = ["ms", "forward or update: ours", "PyTorch", "ratio", "with backward: ours", "PyTorch", "ratio"]
    return markdown(header, [[name, *row] for name, row in cells.items()])


def _ratio_cell(ratio: Ratio | None) -> str:
    if ratio is None or ratio.value is None:
        return "-"
    if ratio.bar is None:
        return f"{ratio.value:.2f}"
    return f"{ratio.value:.2f} (<= {ratio.bar:g} {ratio.verdict})"
