"""What a document claims beside what the training runs say: words and tables that several experiments share."""

from __future__ import annotations

from collections.abc import Iterable

from ..statistics import PairedComparison, interval_text, p_text, plural, signed
from ..tables import Table


def beside_ours(rows: Iterable[tuple[str, str, str]]) -> Table:
    """A table of what is asked, what the document says, and what was found here."""
    return Table(("", "the document", "here"), tuple(rows), ())


def difference_text(pair: PairedComparison) -> str:
    """What the pairs say, for a table's cell: `+1.25 points [+0.80, +1.70], p = .031`."""
    if not pair.pairs:
        return "no pair has finished"
    interval = f" {interval_text(pair.interval)}" if pair.interval else ""
    p_value = f", p = {p_text(pair.p_value)}" if pair.p_value is not None else ""
    return f"{signed(pair.mean_difference)} points{interval}{p_value}"


def better(pair: PairedComparison) -> str:
    """The order that did better, or "" where no difference is called."""
    if not pair.called:
        return ""
    return pair.second if pair.mean_difference > 0.0 else pair.first


def left_open(pair: PairedComparison) -> str:
    """What the pairs do not rule out: a size for who reads "no difference" as "no difference at all"."""
    if pair.interval is None:
        return f"With {plural(pair.pairs, 'pair')} there is no interval, so nothing is ruled out."
    farthest = max(map(abs, pair.interval))
    text = f"The interval leaves differences of up to {farthest:.2f} points open."
    if pair.interval_excludes_zero and not pair.called:
        text += " It excludes 0, but the test does not reach p < .05; both are needed, and more seeds may decide."
    return text
