"""Two comparisons held against each other: what changed between them, and what that did to each order."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from ..errors import ArgumentError, explain
from .comparison import Comparison
from .config import Condition, shown
from .document import CaptionedTable, Figure, Finding, Section, Text
from .figures import COLOURS, FAINT, INK, Chart, panels
from .statistics import PairedComparison, compare_pairs, interval_text, p_text, plural, signed
from .tables import Table


@dataclass(frozen=True)
class Change:
    """What the step from the first comparison to the second did.

    Attributes:
        condition: under which condition.
        what: an order, or "second − first order": the change of the difference between two orders.
        pair: the values of both comparisons by seed, their differences, interval and p.
    """

    condition: Condition
    what: str
    pair: PairedComparison


class Contrast:
    """What two comparisons have in common, and how they differ.

    Runs are paired by seed. Where the two differ in nothing that decides the initial weights and the batches, runs of
    one seed start alike; otherwise a seed is only a number that pairs them, which is a valid pairing with more spread.

    Args:
        first, second: comparisons that share at least one condition and one order.

    Raises:
        ArgumentError: they share none.
    """

    def __init__(self, first: Comparison, second: Comparison) -> None:
        self.first, self.second = first, second
        self.conditions = [condition for condition in first.conditions if condition in second.conditions]
        self.orders = [order for order in first.orders if order in second.orders]
        if not self.conditions or not self.orders:
            shared = "condition" if not self.conditions else "order"
            got = f"{_labels(first, shared)} in {first.root}, {_labels(second, shared)} in {second.root}"
            raise ArgumentError(explain("compare two sweeps", f"at least one {shared} in both", got))

    @property
    def settings(self) -> list[tuple[str, str, str]]:
        """Name and both values of every setting in which the two differ."""
        ours, theirs = self.first.config.to_dict(), self.second.config.to_dict()
        return [(name, shown(ours[name]), shown(theirs[name])) for name in ours if ours[name] != theirs[name]]

    @property
    def changes(self) -> list[Change]:
        """The change of each order, and of each order's difference from the first one, under every condition."""
        changes = []
        for condition in self.conditions:
            accuracies = [
                {order: comparison.accuracies(condition, order) for order in self.orders}
                for comparison in (self.first, self.second)
            ]
            changes += [
                Change(condition, order, compare_pairs("A", "B", *(by[order] for by in accuracies)))
                for order in self.orders
            ]
            reference, *others = self.orders
            for order in others:
                differences = [_differences(by[reference], by[order]) for by in accuracies]
                changes.append(Change(condition, f"{order} − {reference}", compare_pairs("A", "B", *differences)))
        return changes

    def section(self) -> Section:
        """What to show: what differs, the changes as sentences, a chart and a table."""
        changes = self.changes
        settings = Table(("setting", "A", "B"), tuple(self.settings), ())
        body = tuple(
            (
                f"{change.condition.label}, {change.what}",
                _mean(change.pair.first_values),
                _mean(change.pair.second_values),
                signed(change.pair.mean_difference),
                interval_text(change.pair.interval) if change.pair.interval else "none",
                "none" if change.pair.p_value is None else p_text(change.pair.p_value),
                str(change.pair.pairs),
            )
            for change in changes
        )
        table = Table(("", "A", "B", "B − A", "95 % interval", "p", "pairs"), body, ())
        caption = "Test accuracy (%) in both, and the change from A to B (percentage points), paired by seed."
        return Section(
            "contrast",
            "What changed from A to B",
            (
                Text(f"A: {self.first.root.name}. {self.first.hyperparameters}"),
                Text(f"B: {self.second.root.name}. {self.second.hyperparameters}"),
                CaptionedTable("settings", "Settings in which the two differ.", settings),
                *(Finding(_sentence(change)) for change in changes),
                Figure("changes", caption, lambda: changes_chart(changes)),
                CaptionedTable("changes", caption, table),
            ),
        )

    def __str__(self) -> str:
        lines = [f"A: {self.first.root}", f"B: {self.second.root}", ""]
        lines += [f"  {name}: {ours} -> {theirs}" for name, ours, theirs in self.settings] or ["  no setting differs"]
        return "\n".join([*lines, "", *(textwrap.fill(_sentence(change), 100) for change in self.changes)])


def changes_chart(changes: list[Change]) -> Chart:
    """Every change with its seeds as dots, its mean and its interval."""
    rows = [change for change in changes if change.pair.pairs]
    figure, (axes,) = panels(1, width=7.4, height=0.8 + 0.45 * max(1, len(rows)))
    for height, change in enumerate(reversed(rows)):
        pair = change.pair
        axes.plot(pair.differences, [height] * pair.pairs, "o", color=COLOURS[0], alpha=0.45, markersize=4.5)
        if pair.interval is not None:
            axes.plot(pair.interval, (height, height), "-", color=INK, linewidth=2.2)
        axes.plot(pair.mean_difference, height, "D", color=INK, markersize=6)
    axes.axvline(0.0, color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(rows)), [f"{change.condition.label}, {change.what}" for change in reversed(rows)])
    axes.set_ylim(-0.6, max(1, len(rows)) - 0.4)
    axes.set_xlabel("test accuracy, B − A (percentage points)")
    axes.tick_params(axis="y", length=0)
    return Chart(figure)


def _sentence(change: Change) -> str:
    pair = change.pair
    name = f"{change.condition.label}, {change.what}"
    if not pair.pairs:
        return f"{name}: no seed has finished in both, so nothing can be said."
    numbers = f"{signed(pair.mean_difference)} points over {plural(pair.pairs, 'pair')}"
    if pair.interval is not None:
        numbers += f", 95 % interval {interval_text(pair.interval)}"
    if pair.p_value is not None:
        numbers += f", p = {p_text(pair.p_value)}"
    if pair.called:
        return f"{name}: {'higher' if pair.mean_difference > 0 else 'lower'} in B than in A ({numbers})."
    return f"{name}: no change from A to B could be shown ({numbers})."


def _differences(reference: dict[int, float], other: dict[int, float]) -> dict[int, float]:
    return {seed: other[seed] - reference[seed] for seed in reference.keys() & other.keys()}


def _mean(values: tuple[float, ...]) -> str:
    return f"{sum(values) / len(values):.2f}" if values else "n/a"


def _labels(comparison: Comparison, kind: str) -> str:
    if kind == "order":
        return ", ".join(comparison.orders)
    return "; ".join(condition.label for condition in comparison.conditions)
