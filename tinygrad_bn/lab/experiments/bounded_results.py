"""Accuracy, asymmetry and sparsity of Convention, Swap and NWDBN, beside what Kim, Kim & Kim (2023) report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from ...functional import get_activation
from .. import quantities
from ..comparison import Comparison
from ..config import Condition
from ..document import CaptionedTable, Figure, Finding, Part, Section, Text
from ..quantities import Quantity
from ..report.method import KIM_HEADING, KIM_ROWS
from ..statistics import PairedComparison, compare_pairs, plural, signed
from ..tables import Table
from . import bounded_published as published
from .bounded_charts import block_chart, by_layer_chart, channels_chart, scatter_chart
from .bounded_decay import plain
from .bounded_published import CONVENTION, NWDBN, SWAP
from .claims import better, difference_text
from .moments import decimal

#: How far into the network the paper's figures look: at the 8th and at the 5th of VGG16's 13 layers.
CHANNELS_SHARE, BLOCK_SHARE = 8 / 13, 5 / 13


def present_accuracy(comparison: Comparison) -> Sequence[Section]:
    """Everything that the paper shows about its main result, from our runs."""
    return (
        _published_section(),
        _accuracy_section(comparison, "vgg"),
        _mechanism_section(comparison),
        _distribution_section(comparison),
    )


def present_architecture(architecture: str, comparison: Comparison) -> Sequence[Section]:
    """The same question in another architecture.

    Args:
        architecture: a key of `bounded_published.CIFAR_100`, or one that the paper leaves out.
        comparison: its runs.
    """
    return (_accuracy_section(comparison, architecture), _mechanism_section(comparison))


def present_tuned(comparison: Comparison) -> Sequence[Section]:
    """The difference when every order has hyperparameters of its own, as in the paper."""
    rows, findings = [], []
    for condition in comparison.conditions:
        for tuning in comparison.tunings:
            if tuning.condition != condition:
                continue
            chosen = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in tuning.settings.items())
            accuracy = _mean(comparison, condition, tuning.order, quantities.ACCURACY)
            rows.append((f"{condition.label}, {tuning.order}", chosen or "not yet", decimal(accuracy, 2)))
        pair = compare_pairs(
            CONVENTION,
            SWAP,
            comparison.accuracies(condition, CONVENTION),
            comparison.accuracies(condition, SWAP),
        )
        winner = better(pair)
        verdict = f"{winner} is better" if winner else "no difference is called"
        findings.append(
            Finding(f"{condition.label}, each order with its own hyperparameters: {verdict} ({difference_text(pair)}).")
        )
    return (
        Section(
            "tuned",
            "Each order with hyperparameters of its own",
            (
                Text(
                    "The paper searched learning rate and weight decay for every order, and for CIFAR-100, VGG16 and "
                    "tanh trained Convention at .01 and Swap at .1 (weight decay 0.0005 for both). Then the learning "
                    "rate is part of the difference. The other parts of this page give every order the same; here both "
                    "choose from one grid, on images held out of the training set."
                ),
                CaptionedTable(
                    "tuned",
                    "What was chosen, and mean test accuracy (%).",
                    Table(("", "chosen", "accuracy"), tuple(rows), ()),
                ),
                *findings,
            ),
        ),
    )


def _published_section() -> Section:
    return Section(
        "published",
        "What the paper reports",
        (
            Text(
                "Donghoon Kim, Woojin Kim and Sangwook Kim, “Tanh Works Better with Asymmetry” (NeurIPS 2023, "
                "openreview.net/forum?id=1WpmOipyYI), first submitted as “Batch Normalization and Bounded Activation "
                "Functions”. Convention is weight, BatchNorm, activation; Swap is weight, activation, BatchNorm; "
                "NWDBN is Convention without weight decay on BatchNorm's affine parameters."
            ),
            CaptionedTable(
                "published",
                "Test accuracy (%), Convention → Swap; 3 seeds, no spread reported, hyperparameters searched per "
                "order.",
                Table(KIM_HEADING, KIM_ROWS, ()),
            ),
        ),
    )


def _accuracy_section(comparison: Comparison, architecture: str) -> Section:
    config = comparison.config
    rows, findings = [], []
    for condition in comparison.conditions:
        values = published.CIFAR_100.get((architecture, condition.activation))
        for order in comparison.orders[1:]:
            there = _published_text(architecture, condition.activation, order)
            pair = _pair(comparison, condition, order, quantities.ACCURACY)
            means = (_mean(comparison, condition, one, quantities.ACCURACY) for one in (CONVENTION, order))
            precise = _pair(comparison, condition, order, quantities.PRECISE_ACCURACY)
            rows.append(
                (
                    f"{condition.label}, {order}",
                    there,
                    " → ".join(decimal(mean, 2) for mean in means),
                    difference_text(pair),
                    signed(precise.mean_difference) if precise.pairs else "none",
                )
            )
        findings.append(Finding(_accuracy_finding(comparison, condition, values)))
    left_out = all(key[0] != architecture for key in published.CIFAR_100)
    return Section(
        f"accuracy-{architecture}",
        f"Accuracy beside the paper's: {config.model}",
        (
            Text(
                f"Ours: {config.model} of width {config.width} on {config.dataset}, {plural(config.epochs, 'epoch')}, "
                f"{plural(len(config.seeds), 'seed')}, the same hyperparameters for every order. "
                + (
                    "The paper leaves this architecture out. "
                    if left_out
                    else "The paper's network is wider, its training longer and its data set another one: "
                    "only the sign can be compared, not the size. "
                )
                + "Beside the accuracy with BatchNorm's running averages stands the difference with statistics "
                "estimated anew after the training: where the two differ, part of it is the running averages' lag."
            ),
            CaptionedTable(
                f"accuracy-{architecture}",
                "Test accuracy (%), Convention → the other order, with the paired difference, its 95 % interval and p.",
                Table(
                    ("", "paper, CIFAR-100", "here", "difference", "with precise statistics"),
                    tuple(rows),
                    (),
                ),
            ),
            *findings,
        ),
    )


def _published_text(architecture: str, activation: str, order: str) -> str:
    values = published.CIFAR_100.get((architecture, activation))
    if values is None:
        return "not reported"
    if order == NWDBN:
        known = (architecture, activation) == ("vgg", "tanh")
        return f"{values[0]} → {published.NWDBN_ACCURACY}" if known else "not reported"
    return f"{values[0]} → {values[1]}"


def _accuracy_finding(comparison: Comparison, condition: Condition, values: tuple[float, float] | None) -> str:
    pair = _pair(comparison, condition, SWAP, quantities.ACCURACY)
    kind = "bounded" if get_activation(condition.activation).bounded else "not bounded"
    opening = f"{condition.label} ({kind})"
    if not pair.pairs:
        return f"{opening}: no pair has finished, so nothing can be said yet."
    winner = better(pair)
    text = f"{opening}: {winner} does better" if winner else f"{opening}: no difference between the orders is called"
    text = f"{text} ({difference_text(pair)})."
    if values is None:
        return text
    there = SWAP if values[1] > values[0] else CONVENTION
    reported = f"The paper has {there} ahead by {abs(values[1] - values[0]):.2f} points"
    if not winner:
        direction = SWAP if pair.mean_difference > 0.0 else CONVENTION
        return f"{text} {reported}; the mean here points {'the same way' if direction == there else 'the other way'}."
    return f"{text} {reported}: {'the same sign' if winner == there else 'the opposite sign'}."


# -- mechanism -----------------------------------------------------------------------------------------------------


def _mechanism_section(comparison: Comparison) -> Section:
    architecture = comparison.config.model
    has_published = architecture.startswith("vgg")
    rows = []
    for condition in comparison.conditions:
        is_tanh = condition.activation == "tanh" and has_published
        gain = published.SKEWNESS_GAINS.get(condition.activation) if has_published else None
        for order in comparison.orders:
            skewness = _pair(comparison, condition, order, quantities.SKEWNESS)
            rows.append(
                (
                    f"{condition.label}, {order}",
                    decimal(_mean(comparison, condition, order, quantities.SKEWNESS), 3),
                    "" if order == CONVENTION else plain(skewness),
                    f"+{gain:.2f}" if gain is not None and order == SWAP else "",
                    decimal(_mean(comparison, condition, order, quantities.HIGHEST_SATURATION), 3),
                    decimal(published.HIGHEST_SATURATION.get(order), 2) if is_tanh and order != NWDBN else "",
                    decimal(_mean(comparison, condition, order, quantities.SPARSITY), 4),
                    decimal(published.SPARSITY[order]) if is_tanh else "",
                    decimal(_mean(comparison, condition, order, quantities.ZEROS), 3),
                )
            )
    heading = (
        "",
        "mean |skewness|",
        "change",
        "paper",
        "highest saturation",
        "paper",
        "sparsity",
        "paper",
        "exact zeros",
    )
    findings = [
        Finding(text) for condition in comparison.conditions for text in _mechanism_findings(comparison, condition)
    ]
    return Section(
        f"mechanism-{architecture}",
        f"Asymmetry, saturation and sparsity: {architecture}",
        (
            CaptionedTable(
                f"mechanism-{architecture}",
                "Means over the seeds; skewness and sparsity are means over the layers, saturation is that of the most "
                "saturated layer. The paper's figures are those of VGG16 on CIFAR-100.",
                Table(heading, tuple(rows), ()),
            ),
            Figure(
                f"by-layer-{architecture}",
                "Saturation and mean |skewness| by layer: lines are means over the seeds, dots single runs.",
                partial(by_layer_chart, comparison),
            ),
            Figure(
                f"sparsity-{architecture}",
                "Sparsity of the blocks, mean over the layers, against accuracy; every run is a point.",
                partial(scatter_chart, comparison, quantities.SPARSITY),
            ),
            *findings,
        ),
    )


def _mechanism_findings(comparison: Comparison, condition: Condition) -> list[str]:
    pair = _pair(comparison, condition, SWAP, quantities.SKEWNESS)
    if not pair.pairs:
        return [f"{condition.label}: no pair has finished, so nothing can be said about the mechanism yet."]
    word = "higher" if pair.mean_difference > 0.0 else "lower"
    told = f"is {word} in Swap than in Convention" if pair.called else "is not told apart between Swap and Convention"
    findings = [f"{condition.label}: mean |skewness| {told} ({plain(pair)})."]
    pooled = _pooling_finding(comparison, condition)
    if pooled:
        findings.append(pooled)
    sparsity = {order: _mean(comparison, condition, order, quantities.SPARSITY) for order in comparison.orders}
    accuracy = {order: _mean(comparison, condition, order, quantities.ACCURACY) for order in comparison.orders}
    if all(math.isfinite(value) for value in (*sparsity.values(), *accuracy.values())):
        by_sparsity, by_accuracy = (
            sorted(values, key=values.__getitem__, reverse=True) for values in (sparsity, accuracy)
        )
        agree = "the same sequence" if by_sparsity == by_accuracy else "not the same sequence"
        findings.append(
            f"{condition.label}: from sparse to dense {', '.join(by_sparsity)}; from accurate to less accurate "
            f"{', '.join(by_accuracy)}: {agree}."
        )
    return findings


def behind_pooling(names: Sequence[str]) -> list[bool]:
    """For each layer after the first, whether something without an activation stands between it and the one before.

    In a plain stack of blocks and poolings that is a pooling. Empty for networks that are no such stack.

    >>> behind_pooling(["features.0", "features.2", "features.3"]), behind_pooling(["stem", "blocks.0.conv"])
    ([True, False], [])
    """
    places = [name.removeprefix("features.") for name in names]
    if not all(place.isdecimal() for place in places):
        return []
    return [int(second) - int(first) > 1 for first, second in pairwise(places)]


def _pooling_finding(comparison: Comparison, condition: Condition) -> str:
    """Where in the network Swap is asymmetric: behind a pooling, or everywhere."""
    layers = [record.result["layers"] for record in comparison.of(condition, SWAP)]
    behind = behind_pooling([layer["name"] for layer in layers[0]])
    if not get_activation(condition.activation).bounded or len(set(behind)) < 2:
        return ""
    groups: dict[bool, list[float]] = {True: [], False: []}
    for run in layers:
        for pooled, layer in zip(behind, run[1:], strict=True):
            if layer["skewness"] is not None:
                groups[pooled].append(layer["skewness"])
    after, elsewhere = (quantities.mean(groups[pooled]) for pooled in (True, False))
    numbers = f"{decimal(after, 2)} in layers right behind a max pooling and {decimal(elsewhere, 2)} in the others"
    if after < 1.5 * elsewhere:
        return f"{condition.label}, Swap: mean |skewness| does not hang on the poolings: it is {numbers}."
    text = f"{condition.label}, Swap: where it is one-sided hangs on the poolings here: mean |skewness| is {numbers}"
    if condition != comparison.conditions[0]:
        return f"{text}."
    return (
        f"{text}, the first layer left aside. The largest of four values with mean 0 has a positive mean (1.03 for "
        "independent normal ones), so that behind a pooling the weights get inputs with a mean, and so does tanh. In "
        "Convention the next BatchNorm takes that mean away before tanh sees it. Between two poolings only the layer's "
        "bias can give tanh's input a mean."
    )


def _distribution_section(comparison: Comparison) -> Section:
    condition = comparison.conditions[0]
    parts: list[Part] = []
    if all(comparison.of(condition, order) for order in comparison.orders):
        parts = [
            Text(
                "The paper's first figure shows the 8th of VGG16's 13 layers: as a whole symmetric in both orders, but "
                "in Swap each channel sits at one end. Below is the layer at the same share of our network's depth. "
                "The figure after it shows what a block gives to the next one: with BatchNorm last, the crowded end "
                "of a one-sided channel comes to lie near 0."
            ),
            Figure(
                "channels",
                f"{condition.label}, first seed: a layer as a whole and consecutive channels of it, at the "
                "activation's output.",
                partial(channels_chart, comparison, condition, (CONVENTION, SWAP), CHANNELS_SHARE),
            ),
            Figure(
                "block",
                f"{condition.label}, first seed: three channels of a block, at its output (in the paper the 5th).",
                partial(block_chart, comparison, condition, comparison.orders, BLOCK_SHARE),
            ),
        ]
    else:
        parts = [Text("The figures need a finished run of every order.")]
    return Section("distributions", "Layers and channels", tuple(parts))


def _mean(comparison: Comparison, condition: Condition, order: str, quantity: Quantity) -> float:
    values = list(comparison.values(condition, order, quantity).values())
    return math.fsum(values) / len(values) if values else math.nan


def _pair(comparison: Comparison, condition: Condition, order: str, quantity: Quantity) -> PairedComparison:
    return compare_pairs(
        CONVENTION,
        order,
        comparison.values(condition, CONVENTION, quantity),
        comparison.values(condition, order, quantity),
    )
