"""The tables of a comparison, once as rows, printed as aligned text or handed to the page."""

from __future__ import annotations

import statistics as standard_statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .statistics import PairedComparison, interval_text, p_text, signed


@dataclass(frozen=True)
class Table:
    """A heading row, body rows (one per seed) and summary rows. The first column holds the row's name."""

    heading: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    summary: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """Aligned text: names to the left, numbers to the right.

        >>> print(Table(("seed", "a"), (("0", "81.25"),), (("mean", "81.25"),)))
        seed      a
        0     81.25
        -----------
        mean  81.25
        """
        rows = [self.heading, *self.body, *self.summary]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.heading))]
        lines = [
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join([lines[0], *lines[1 : 1 + len(self.body)], rule, *lines[1 + len(self.body) :]])

    def _repr_html_(self) -> str:
        from .report.notebook import table_html

        return table_html(self)


def comparison_table(accuracies: Mapping[str, Mapping[int, float]], pairs: Sequence[PairedComparison]) -> Table:
    """Accuracy of every order by seed, and the paired difference of every other order from the first.

    Args:
        accuracies: for each order, accuracy in percent by seed; the first order is the reference.
        pairs: the comparisons of the other orders with the first.
    """
    seeds = sorted({seed for values in accuracies.values() for seed in values})
    differences = [dict(zip(pair.seeds, pair.differences, strict=True)) for pair in pairs]
    heading = ("seed", *accuracies, *(f"{pair.second} − {pair.first}" for pair in pairs))
    body = tuple(
        (
            str(seed),
            *(_percent(values.get(seed)) for values in accuracies.values()),
            *(signed(by_seed[seed]) if seed in by_seed else "n/a" for by_seed in differences),
        )
        for seed in seeds
    )
    blank = [""] * len(accuracies)
    means = [standard_statistics.fmean(values.values()) if values else None for values in accuracies.values()]
    summary = (
        ("mean", *map(_percent, means), *(signed(pair.mean_difference) for pair in pairs)),
        ("95 % interval", *blank, *(interval_text(p.interval) if p.interval else "none" for p in pairs)),
        (_p_name(pairs), *blank, *(_p_or_none(pair.p_value) for pair in pairs)),
    )
    return Table(heading, body, summary)


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _p_or_none(p_value: float | None) -> str:
    return "none" if p_value is None else p_text(p_value)


def _p_name(pairs: Sequence[PairedComparison]) -> str:
    return "sign-flip p" if all(pair.p_is_exact for pair in pairs) else "sign-flip p (sampled)"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as aligned columns, two spaces apart.

    >>> print(columns([("name", "train"), ("digits", "1437")]))
    name    train
    digits  1437
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
