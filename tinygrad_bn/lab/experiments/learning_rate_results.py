"""Accuracy by learning rate, with BatchNorm and without, beside Ioffe & Szegedy (2015) and caffenet-benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ..comparison import Comparison
from ..config import Condition
from ..document import CaptionedTable, Figure, Finding, Part, Section, Text
from ..figures import FAINT, Chart, colour, legend, line, panels, title
from ..statistics import PairedComparison, compare_pairs, plural
from ..tables import Table
from .claims import beside_ours, better, difference_text
from .moments import decimal

ORDERS = ("no-norm", "convention", "swap")
#: Learning rates as multiples of the first one: those of Ioffe & Szegedy (2015).
MULTIPLES = (1, 5, 30)
#: Their millions of steps to 72.2 % on ImageNet, for none and for each multiple with BatchNorm before the activation.
PUBLISHED_STEPS = {("no-norm", 1): 31.0, ("convention", 1): 13.3, ("convention", 5): 2.1, ("convention", 30): 2.7}
#: What they report of sigmoid.
PUBLISHED_SIGMOID = {("no-norm", 1): "guessing", ("convention", 5): "69.8 %"}
#: Accuracy (%) below which a network has learned nothing, where guessing gives 10.
LEARNED = 15.0


def mean_or_nan(values: Sequence[float]) -> float:
    """The mean, or nan of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def between(comparison: Comparison, condition: Condition, first: str, second: str) -> PairedComparison:
    """Any two orders under a condition, paired by seed."""
    return compare_pairs(
        first, second, comparison.accuracies(condition, first), comparison.accuracies(condition, second)
    )


def _by_activation(comparison: Comparison) -> dict[str, list[Condition]]:
    groups: dict[str, list[Condition]] = {}
    for condition in comparison.conditions:
        groups.setdefault(condition.activation, []).append(condition)
    return groups


def present_learning_rates(comparison: Comparison) -> Sequence[Section]:
    """Epochs to a level and accuracies by learning rate, beside Ioffe & Szegedy's."""
    sections = [_rates_section(comparison, group) for group in _by_activation(comparison).values()]
    return (*sections, _benchmark_section(comparison))


def _rates_section(comparison: Comparison, group: Sequence[Condition]) -> Section:
    activation, base = group[0].activation, group[0].settings["learning_rate"]
    level = level_of(comparison, group[0])
    reached = {
        (order, condition.label): epochs_to(comparison, condition, order, level)
        for condition in group
        for order in comparison.orders
    }
    rows = []
    for order in comparison.orders:
        for condition in group:
            multiple = condition.settings["learning_rate"] / base
            epochs = reached[order, condition.label]
            accuracies = list(comparison.accuracies(condition, order).values())
            rows.append(
                (
                    f"{order}, x{multiple:g}",
                    _published_text(activation, order, round(multiple)),
                    _epochs_text(epochs) if level >= LEARNED else "no level",
                    decimal(mean_or_nan(accuracies), 2) if accuracies else "none",
                    f"{sum(record.result['diverged'] for record in comparison.of(condition, order))}",
                )
            )
    parts: list[Part] = []
    if group[0] == comparison.conditions[0]:
        parts.append(
            Text(
                "Ioffe & Szegedy, “Batch Normalization: Accelerating Deep Network Training by Reducing Internal "
                "Covariate Shift” (2015), trained Inception on ImageNet without BatchNorm and with it, and raised the "
                "learning rate five- and thirtyfold; they counted the steps until the network was as good as "
                "the one without BatchNorm ever was (72.2 %). Here a small CNN is trained on another set, with a "
                f"constant learning rate of {base:g} times the multiple, and epochs are counted, looked at when each "
                "one ends: a network that is quicker than one epoch counts as one."
            )
        )
    parts += [
        CaptionedTable(
            f"rates-{activation}",
            _rates_caption(comparison, activation, level),
            Table(("", "Ioffe & Szegedy", "epochs here", "final accuracy (%)", "diverged"), tuple(rows), ()),
        ),
        Figure(
            f"rates-{activation}",
            f"{activation}: test accuracy by epoch at every learning rate; thin lines are single seeds, thick ones "
            "their mean, the dashed grey line is the level of the table.",
            partial(rates_chart, comparison, group),
        ),
        *(Finding(text) for text in _rate_findings(comparison, group, level, reached)),
    ]
    return Section(f"rates-{activation}", f"How large a learning rate may be, with {activation}", tuple(parts))


def _rates_caption(comparison: Comparison, activation: str, level: float) -> str:
    if not level >= LEARNED:
        return f"{activation}: the network without BatchNorm learns nothing at x1, so that there is no level to reach."
    return (
        f"{activation}: epochs to {level:.1f} % test accuracy, the highest mean over the seeds that the network "
        f"without BatchNorm reaches at x1 within {plural(comparison.config.epochs, 'epoch')}; in brackets how many "
        "runs got there."
    )


def _published_text(activation: str, order: str, multiple: int) -> str:
    if activation == "relu" and (order, multiple) in PUBLISHED_STEPS:
        return f"{PUBLISHED_STEPS[order, multiple]:.1f} million steps"
    return PUBLISHED_SIGMOID.get((order, multiple), "not reported") if activation == "sigmoid" else "not reported"


def level_of(comparison: Comparison, condition: Condition) -> float:
    """The highest mean accuracy, over the epochs, of the first order under a condition; nan without runs."""
    curves = [[entry["test_accuracy"] for entry in r.metrics] for r in comparison.of(condition, comparison.orders[0])]
    if not curves:
        return math.nan
    length = min(map(len, curves))
    return float(np.mean([curve[:length] for curve in curves], axis=0).max())


def epochs_to(comparison: Comparison, condition: Condition, order: str, level: float) -> list[int | None]:
    """For each run, by seed, the first epoch after which it is at a level; None where it never is."""
    return [
        next((int(entry["epoch"]) for entry in record.metrics if entry["test_accuracy"] >= level), None)
        for record in comparison.of(condition, order)
    ]


def _epochs_text(epochs: Sequence[int | None]) -> str:
    if not epochs:
        return "no run"
    there = [epoch for epoch in epochs if epoch is not None]
    if not there:
        return f"never (0 of {len(epochs)})"
    return f"{decimal(mean_or_nan(there), 1)} ({len(there)} of {len(epochs)})"


def _rate_findings(
    comparison: Comparison,
    group: Sequence[Condition],
    level: float,
    reached: Mapping[tuple[str, str], Sequence[int | None]],
) -> list[str]:
    activation, base = group[0].activation, group[0].settings["learning_rate"]
    best: dict[str, tuple[float, float]] = {}  # by order: the highest mean accuracy and the multiple it belongs to
    for order in comparison.orders:
        for condition in group:
            mean = mean_or_nan(list(comparison.accuracies(condition, order).values()))
            if math.isfinite(mean) and mean > best.get(order, (-1.0, 0.0))[0]:
                best[order] = (mean, condition.settings["learning_rate"] / base)
    if set(best) != set(comparison.orders):
        return [f"{activation}: not every order has a finished run yet."]
    first = comparison.orders[0]
    findings = []
    if best[first][0] < LEARNED:
        learned = [f"{order} {best[order][0]:.1f} %" for order in comparison.orders[1:]]
        findings.append(
            f"With {activation} and without BatchNorm nothing is learned at any of these learning rates: at most "
            f"{best[first][0]:.1f} % where guessing gives 10 %. With BatchNorm: {', '.join(learned)}. Ioffe & Szegedy "
            "report the same of sigmoid: 69.8 % with BatchNorm, and guessing without."
        )
    else:
        quick = {
            key: mean_or_nan([e for e in epochs if e is not None])
            for key, epochs in reached.items()
            if key[0] != first and epochs and all(e is not None for e in epochs)
        }
        if quick:
            order, label = min(quick, key=quick.__getitem__)
            rate = next(condition for condition in group if condition.label == label).settings["learning_rate"]
            own = [epoch for epoch in reached[first, group[0].label] if epoch is not None]
            findings.append(
                f"With {activation} BatchNorm gets to {level:.1f} %, where the network without it is best at x1 (after "
                f"{mean_or_nan(own):.1f} epochs in the mean of the runs that get there), in "
                f"{quick[order, label]:.1f} epochs "
                f"at the soonest ({order} at x{rate / base:g}). Ioffe & Szegedy needed 15 times fewer steps with "
                "BatchNorm at x5."
            )
        else:
            findings.append(f"With {activation} no setting with BatchNorm gets to {level:.1f} % with every seed.")
    spans = []
    for order in comparison.orders:
        last = mean_or_nan(list(comparison.accuracies(group[-1], order).values()))
        multiple = group[-1].settings["learning_rate"] / base
        spans.append(
            f"{order} is best at x{best[order][1]:g} ({best[order][0]:.1f} %) and has {decimal(last, 1)} % at "
            f"x{multiple:g}"
        )
    findings.append(f"{activation}: {'; '.join(spans)}.")
    told = []
    for condition in group:
        pair = between(comparison, condition, "convention", "swap")
        winner = better(pair)
        multiple = condition.settings["learning_rate"] / base
        told.append(f"x{multiple:g} {winner if winner else 'not told apart'} ({difference_text(pair)})")
    findings.append(f"Convention or Swap, {activation}, better at: {'; '.join(told)} (Swap − Convention).")
    return findings


def rates_chart(comparison: Comparison, group: Sequence[Condition]) -> Chart:
    """Test accuracy by epoch: a panel per order, a colour per learning rate."""
    figure, axes = panels(len(comparison.orders), width=9.0, height=3.0)
    level = level_of(comparison, group[0])
    base = group[0].settings["learning_rate"]
    for panel, order in zip(axes, comparison.orders, strict=True):
        panel.axhline(level, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.0)
        for series, condition in enumerate(group):
            curves = [
                [entry["test_accuracy"] for entry in record.metrics] for record in comparison.of(condition, order)
            ]
            for curve in curves:
                panel.plot(range(1, len(curve) + 1), curve, color=colour(series), alpha=0.25, linewidth=0.8)
            if curves:
                length = min(map(len, curves))
                mean = np.mean([curve[:length] for curve in curves], axis=0)
                label = f"x{condition.settings['learning_rate'] / base:g}"
                panel.plot(
                    range(1, length + 1), mean, label=label, color=colour(series), linestyle=line(series), linewidth=2.2
                )
        title(panel, order)
        panel.set_xlabel("epoch")
        panel.set_ylim(0.0, 100.0)
    axes[0].set_ylabel("test accuracy (%)")
    legend(axes[-1], loc="lower right")
    return Chart(figure)


def _benchmark_section(comparison: Comparison) -> Section:
    """Mishkin's caffenet-benchmark beside ours: none, before, after."""
    group = next((g for name, g in _by_activation(comparison).items() if name == "relu"), [])
    best = {}
    for order in comparison.orders:
        means = [mean_or_nan(list(comparison.accuracies(condition, order).values())) for condition in group]
        means = [mean for mean in means if math.isfinite(mean)]
        if means:
            best[order] = max(means)
    published = {
        "no-norm": "no BatchNorm: .471; GoogLeNet .619",
        "convention": "before ReLU: .474 to .478; GoogLeNet .603 to .607",
        "swap": "after ReLU: .493 to .499; GoogLeNet .584 to .596",
    }
    rows = [
        (order, published[order], f"{best[order]:.2f} %" if order in best else "none") for order in comparison.orders
    ]
    findings = []
    if set(best) == set(comparison.orders):
        sequence = sorted(best, key=best.__getitem__, reverse=True)
        words = ", ".join(sequence)
        matches = [
            name
            for name, expected in (
                ("CaffeNet", ["swap", "convention", "no-norm"]),
                ("GoogLeNet", ["no-norm", "convention", "swap"]),
            )
            if sequence == expected
        ]
        like = f"the sequence of {matches[0]}" if matches else "neither the sequence of CaffeNet nor that of GoogLeNet"
        findings.append(Finding(f"From best to worst here: {words}. That is {like} in caffenet-benchmark."))
    return Section(
        "caffenet-benchmark",
        "None, before or after: beside caffenet-benchmark",
        (
            Text(
                "Dmytro Mishkin's caffenet-benchmark (github.com/ducha-aiki/caffenet-benchmark) trains CaffeNet on "
                "ImageNet at 128 pixels, one run each. With BatchNorm after the activation it has PReLU .503, RReLU "
                ".500, ELU .498, sigmoid .475 and tanh .448; GoogLeNet reverses the sequence. Ours are means over "
                f"{plural(len(comparison.config.seeds), 'seed')}, each order at the learning rate of the table above "
                "that was best for it. That choice was made on the test set, so that all three are a little too good."
            ),
            CaptionedTable("caffenet-benchmark", "Accuracy with ReLU.", beside_ours(rows)),
            *findings,
        ),
    )
