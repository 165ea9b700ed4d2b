"""BatchNorm or none, and where: learning rates, batch sizes, and how smooth the loss is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..comparison import Comparison
from ..config import CompareConfig
from ..document import CaptionedTable, Finding, Part, Section, Text
from ..probes import Landscape
from ..statistics import plural
from ..tables import Table
from .batch_of_two import BATCHES
from .claims import better, difference_text
from .experiment import Experiment, Measurement, Training
from .learning_rate_results import MULTIPLES, ORDERS, between, mean_or_nan, present_learning_rates
from .moments import decimal

# -- batch sizes ---------------------------------------------------------------------------------------------------


def present_batch_sizes(comparison: Comparison) -> Sequence[Section]:
    """Accuracies by batch size, and where BatchNorm stops to help."""
    rows = []
    for condition in comparison.conditions:
        size = condition.settings["batch_size"]
        cells = [mean_or_nan(list(comparison.accuracies(condition, order).values())) for order in comparison.orders]
        pairs = [between(comparison, condition, "no-norm", order) for order in ("convention", "swap")]
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
            winner = better(between(comparison, condition, "no-norm", order))
            word = "cannot be told to do either" if not winner else "helps" if winner == order else "harms"
            verdicts[word].append(f"{condition.settings['batch_size']} ({order})")
    text = "; ".join(f"{word}: {', '.join(where)}" for word, where in verdicts.items() if where)
    orders = []
    for condition in comparison.conditions:
        winner = better(between(comparison, condition, "convention", "swap"))
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
