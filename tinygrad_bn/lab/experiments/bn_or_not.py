"""BatchNorm or none, and where: learning rates, batch sizes, and how smooth the loss is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..comparison import Comparison
from ..config import CompareConfig, Condition
from ..document import CaptionedTable, Figure, Finding, Part, Section, Text
from ..figures import FAINT, Chart, colour, legend, line, panels, title
from ..probes import Landscape
from ..statistics import PairedComparison, compare_pairs, plural
from ..tables import Table
from .batch_of_two import BATCHES
from .claims import beside_ours, better, difference_text
from .experiment import Experiment, Measurement, Training
from .moments import decimal

ORDERS = ("no-norm", "convention", "swap")
#: Learning rates as multiples of the first one: those of Ioffe & Szegedy (2015).
MULTIPLES = (1, 5, 30)
#: Their millions of steps to 72.2 % on ImageNet, for none and for each multiple with BatchNorm before the activation.
PUBLISHED_STEPS = {("no-norm", 1): 31.0, ("convention", 1): 13.3, ("convention", 5): 2.1, ("convention", 30): 2.7}
#: A network that does not beat guessing among ten classes by this many points has learned nothing.
LEARNED = 15.0


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _between(comparison: Comparison, condition: Condition, first: str, second: str) -> PairedComparison:
    return compare_pairs(
        first, second, comparison.accuracies(condition, first), comparison.accuracies(condition, second)
    )


def _by_activation(comparison: Comparison) -> dict[str, list[Condition]]:
    groups: dict[str, list[Condition]] = {}
    for condition in comparison.conditions:
        groups.setdefault(condition.activation, []).append(condition)
    return groups


# -- learning rates ------------------------------------------------------------------------------------------------


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
            published = PUBLISHED_STEPS.get((order, round(multiple)))
            epochs = reached[order, condition.label]
            accuracies = list(comparison.accuracies(condition, order).values())
            rows.append(
                (
                    f"{order}, x{multiple:g}",
                    f"{published:.1f} million steps" if published and activation == "relu" else "not reported",
                    _epochs_text(epochs),
                    decimal(_mean(accuracies), 2) if accuracies else "none",
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
            f"{activation}: epochs to {level:.1f} % test accuracy, the highest mean over the seeds that the network "
            f"without BatchNorm reaches at x1 within {plural(comparison.config.epochs, 'epoch')}; in brackets how many "
            "runs got there.",
            Table(("", "Ioffe & Szegedy, ReLU", "epochs here", "final accuracy (%)", "diverged"), tuple(rows), ()),
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
    there = [epoch for epoch in epochs if epoch is not None]
    if not there:
        return f"never (0 of {len(epochs)})"
    return f"{decimal(_mean(there), 1)} ({len(there)} of {len(epochs)})"


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
            mean = _mean(list(comparison.accuracies(condition, order).values()))
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
            key: _mean([e for e in epochs if e is not None])
            for key, epochs in reached.items()
            if key[0] != first and epochs and all(e is not None for e in epochs)
        }
        if quick:
            order, label = min(quick, key=quick.__getitem__)
            rate = next(condition for condition in group if condition.label == label).settings["learning_rate"]
            own = [epoch for epoch in reached[first, group[0].label] if epoch is not None]
            findings.append(
                f"With {activation} BatchNorm gets to {level:.1f} %, where the network without it is best at x1 (after "
                f"{_mean(own):.1f} epochs in the mean of the runs that get there), in {quick[order, label]:.1f} epochs "
                f"at the soonest ({order} at x{rate / base:g}). Ioffe & Szegedy needed 15 times fewer steps with "
                "BatchNorm at x5."
            )
        else:
            findings.append(f"With {activation} no setting with BatchNorm gets to {level:.1f} % with every seed.")
    spans = []
    for order in comparison.orders:
        last = _mean(list(comparison.accuracies(group[-1], order).values()))
        multiple = group[-1].settings["learning_rate"] / base
        spans.append(
            f"{order} is best at x{best[order][1]:g} ({best[order][0]:.1f} %) and has {last:.1f} % at x{multiple:g}"
        )
    findings.append(f"{activation}: {'; '.join(spans)}.")
    told = []
    for condition in group:
        pair = _between(comparison, condition, "convention", "swap")
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
        means = [_mean(list(comparison.accuracies(condition, order).values())) for condition in group]
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


# -- batch sizes ---------------------------------------------------------------------------------------------------


def present_batch_sizes(comparison: Comparison) -> Sequence[Section]:
    """Accuracies by batch size, and where BatchNorm stops to help."""
    rows = []
    for condition in comparison.conditions:
        size = condition.settings["batch_size"]
        cells = [_mean(list(comparison.accuracies(condition, order).values())) for order in comparison.orders]
        pairs = [_between(comparison, condition, "no-norm", order) for order in ("convention", "swap")]
        rows.append((str(size), *(decimal(cell, 2) for cell in cells), *map(difference_text, pairs)))
    config = comparison.config
    heading = ("batch size", *comparison.orders, "convention − no-norm", "swap − no-norm")
    return (
        Section(
            "batch-sizes",
            f"Batch sizes, {config.model}",
            (
                Text(
                    f"Every network sees the training set {plural(config.epochs, 'time')}, so that small batches take "
                    f"more steps; the learning rate stays at {config.learning_rate:g} ({config.optimizer}, "
                    f"{config.schedule}), so that large batches are at a disadvantage for all orders alike. Compare "
                    "the orders within a row, not the rows."
                ),
                CaptionedTable(
                    "batch-sizes", "Mean test accuracy (%) and paired differences.", Table(heading, tuple(rows), ())
                ),
                *(Finding(text) for text in _batch_findings(comparison)),
            ),
        ),
    )


def _batch_findings(comparison: Comparison) -> list[str]:
    verdicts: dict[str, list[str]] = {"helps": [], "harms": [], "cannot be told to do either": []}
    for condition in comparison.conditions:
        for order in ("convention", "swap"):
            winner = better(_between(comparison, condition, "no-norm", order))
            word = "cannot be told to do either" if not winner else "helps" if winner == order else "harms"
            verdicts[word].append(f"{condition.settings['batch_size']} ({order})")
    text = "; ".join(f"{word}: {', '.join(where)}" for word, where in verdicts.items() if where)
    orders = []
    for condition in comparison.conditions:
        winner = better(_between(comparison, condition, "convention", "swap"))
        if winner:
            orders.append(f"{winner} at {condition.settings['batch_size']}")
    return [
        f"Against no BatchNorm, by batch size and order, BatchNorm {text}.",
        f"Between the two orders a difference is called for: {', '.join(orders)}."
        if orders
        else "Between the two orders no difference is called at any batch size.",
    ]


# -- the landscape -------------------------------------------------------------------------------------------------


def present_landscape(comparison: Comparison) -> Sequence[Section]:
    """Say which order has the smoothest loss, from the numbers that the page's landscape shows."""
    parts: list[Part] = [
        Text(
            "Santurkar, Tsipras, Ilyas and Madry, “How Does Batch Normalization Help Optimization?” (2018), find that "
            "the loss along a gradient step varies less with BatchNorm, and that its gradient changes less. Their "
            "measure is “effective β-smoothness”: the largest change of the gradient per length of step; smaller "
            "is smoother. They have BatchNorm before the activation only; here both orders are measured."
        )
    ]
    rows = []
    for condition in comparison.conditions:
        ranges, smoothness = {}, {}
        for order in comparison.orders:
            places = [
                Landscape.from_dict({key: value for key, value in entry.items() if key not in ("step", "hessian")})
                for record in comparison.of(condition, order)
                for entry in record.folder.landscape()
            ]
            relative = [(p.loss_range[1] - p.loss_range[0]) / p.loss for p in places]
            ranges[order] = _median(relative)
            smoothness[order] = _median([place.smoothness for place in places])
            rows.append((f"{condition.label}, {order}", decimal(ranges[order], 3), decimal(smoothness[order], 2)))
        parts.append(Finding(_smoothest(condition.label, ranges, smoothness)))
    caption = (
        "Medians over seeds and places in the training: width of the loss's envelope over the loss, and effective "
        "β-smoothness."
    )
    parts.insert(1, CaptionedTable("smoothness", caption, Table(("", "envelope", "smoothness"), tuple(rows), ())))
    return (Section("smoothness", "Which loss is smoothest?", tuple(parts)),)


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan


def _smoothest(label: str, ranges: Mapping[str, float], smoothness: Mapping[str, float]) -> str:
    if not all(math.isfinite(value) for value in (*ranges.values(), *smoothness.values())):
        return f"{label}: not measured in every order."
    by_smoothness = sorted(smoothness, key=smoothness.__getitem__)
    by_range = sorted(ranges, key=ranges.__getitem__)
    with_norm = [order for order in smoothness if order != "no-norm"]
    smoother = [order for order in with_norm if smoothness[order] < smoothness["no-norm"]]
    verdict = (
        "as Santurkar and others find, BatchNorm makes the loss smoother"
        if len(smoother) == len(with_norm)
        else "unlike what Santurkar and others find, BatchNorm does not make the loss smoother by this measure"
        if not smoother
        else f"only {smoother[0]} is smoother than no BatchNorm"
    )
    return (
        f"{label}: {verdict}. From smooth to rough: {', '.join(by_smoothness)} by β-smoothness, "
        f"{', '.join(by_range)} by the envelope relative to the loss. The lengths of the steps differ between the "
        "orders, and so does what a weight's length means."
    )


def parts(size: str) -> Sequence[Measurement | Training]:
    """Learning rates, batch sizes and the landscape."""
    rates = CompareConfig(
        model="plain_cnn",
        depth=4,
        width=8,
        epochs=5,
        learning_rate=0.01,
        schedule="constant",
        orders=ORDERS,
        activations=("relu", "sigmoid"),
        seeds=tuple(range(6)),
        vary={"learning_rate": tuple(0.01 * multiple for multiple in MULTIPLES)},
    )
    batches = dataclasses.replace(
        rates,
        model="mlp",
        depth=2,
        width=32,
        epochs=2,
        activations=("relu",),
        learning_rate=0.01,
        schedule="cosine",
        vary={"batch_size": (2, 4, 8, 32, 128, 512)},
    )
    convolutional = dataclasses.replace(batches, model="plain_cnn", depth=2, width=8, vary={"batch_size": (2, 8, 32)})
    smooth = dataclasses.replace(
        rates,
        epochs=3,
        activations=("relu", "tanh"),
        learning_rate=0.05,
        seeds=(0, 1, 2),
        vary={},
        landscape=8,
        step_probes=10,
    )
    if size == "paper":
        gpu: dict[str, Any] = {"model": "vgg11", "width": 64, "dataset": "cifar10", "device": "cuda"}
        rates = dataclasses.replace(
            rates,
            **gpu,
            epochs=50,
            batch_size=32,
            learning_rate=0.0015,
            vary={"learning_rate": tuple(0.0015 * multiple for multiple in (*MULTIPLES, 100))},
        )
        batches = dataclasses.replace(batches, model="mlp", width=256, dataset="cifar10", epochs=20, device="cuda")
        convolutional = dataclasses.replace(convolutional, **gpu, epochs=20, vary=batches.vary)
        smooth = dataclasses.replace(smooth, **gpu, epochs=20, seeds=tuple(range(6)), landscape=50, step_probes=100)
    return (
        Training(
            name="learning-rate",
            title="Learning rates, with BatchNorm and without",
            config=rates,
            present=present_learning_rates,
        ),
        BATCHES,
        Training(
            name="batch-size",
            title="Batch sizes, fully connected",
            config=batches,
            present=present_batch_sizes,
        ),
        Training(
            name="batch-size-cnn",
            title="Batch sizes, convolutional",
            config=convolutional,
            present=present_batch_sizes,
        ),
        Training(name="landscape", title="The loss landscape", config=smooth, present=present_landscape),
    )


EXPERIMENT = Experiment(
    name="bn-or-not",
    title="BatchNorm or none: learning rates and batch sizes",
    introduction=(
        "Ioffe & Szegedy (2015) introduced BatchNorm as what allows a larger learning rate, a saturating activation, "
        "and less care for the initial weights. They put it before the activation. Does all of that depend on the "
        "place? Here a network without BatchNorm, one with it before the activation and one with it after are trained "
        "at their multiples of a learning rate, with ReLU and with sigmoid.",
        "BatchNorm has a price: it needs a batch. So the orders are compared again with batches from 2 to 512, and it "
        "is shown what a batch of two leaves of a value. Last, the loss is measured along the gradient's step, as "
        "Santurkar and others (2018) did, to see whether it is smoother with BatchNorm, and in which order.",
    ),
    parts=parts,
)
