"""The basics: batch norm by hand, a model with it, and pre-activation, post-activation and no normalisation trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..comparison import Comparison
from ..config import CompareConfig, Condition
from ..document import CaptionedTable, Finding, Section, Text
from ..statistics import PairedComparison, plural
from ..tables import Table
from .claims import beside_ours, better, difference_text, left_open
from .experiment import Experiment, Measurement, Training
from .moments import decimal
from .seed_004_by_hand import BY_HAND
from .seed_004_keras_style import KERAS_STYLE

NAMES = {"convention": "pre-activation", "swap": "post-activation", "no-norm": "without"}


def present_training(comparison: Comparison) -> Sequence[Section]:
    """Hold the tutorial's claims about place and speed against the runs."""
    return tuple(_section(comparison, condition) for condition in comparison.conditions)


def _section(comparison: Comparison, condition: Condition) -> Section:
    pairs = {pair.second: pair for pair in comparison.pairs(condition)}
    # The third order is held against pre-activation as well, so that "with" minus "without" has the opposite sign.
    claims = (
        ("post-activation − pre-activation", "after the activation is better", difference_text(pairs["swap"])),
        ("without − pre-activation", "BatchNorm is better", difference_text(pairs["no-norm"])),
    )
    epochs = {order: _by_epoch(comparison, condition, order, "test_accuracy") for order in comparison.orders}
    finished = [order for order in comparison.orders if epochs[order]]
    shown = _some(range(comparison.config.epochs))
    rows = tuple(
        (f"{NAMES[order]} ({order})", *(_at(epochs[order], epoch) for epoch in shown)) for order in comparison.orders
    )
    findings = [_place(condition.label, pairs["swap"]), _with_or_without(condition.label, pairs["no-norm"])]
    if len(finished) == len(comparison.orders):
        findings.append(_speed(epochs))
    return Section(
        f"pre-and-post-{condition.key}",
        f"The tutorial's claims, {condition.label}",
        (
            Text(
                "“Pre-activation” is BatchNorm before the activation, “post-activation” after it. The tutorial says "
                "that the first was proposed, that “applying batch norm after activation yields better results”, and "
                "that BatchNorm makes a network faster to train and better. It gives no figures."
            ),
            CaptionedTable(
                f"claims-{condition.key}",
                "Mean paired difference in test accuracy, its 95 % interval and the p of the sign-flip test.",
                beside_ours(claims),
            ),
            CaptionedTable(
                f"epochs-{condition.key}",
                "Test accuracy (%) after each epoch, mean over the seeds.",
                Table(("", *(f"epoch {epoch + 1}" for epoch in shown)), rows, ()),
            ),
            *map(Finding, findings),
        ),
    )


def _by_epoch(comparison: Comparison, condition: Condition, order: str, key: str) -> list[float]:
    """The mean over the seeds after each epoch, as far as all of them got."""
    curves = [[line[key] for line in record.metrics] for record in comparison.of(condition, order)]
    return np.mean([curve[: min(map(len, curves))] for curve in curves], axis=0).tolist() if curves else []


def _some(epochs: range, most: int = 8) -> list[int]:
    """Some of the epochs, evenly spread, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, len(epochs) - 1, min(most, len(epochs)))})


def _at(curve: list[float], epoch: int) -> str:
    return decimal(curve[epoch], 2) if epoch < len(curve) else "none"


def _place(label: str, pair: PairedComparison) -> str:
    if not pair.pairs:
        return f"{label}: no pair has finished, so nothing can be said yet."
    winner = better(pair)
    if winner == "swap":
        return f"With {label}, post-activation is better here, as the tutorial says: {difference_text(pair)}."
    if winner:
        return f"With {label}, pre-activation is better here, against the tutorial: {difference_text(pair)}."
    return (
        f"With {label}, neither place can be called better over {plural(pair.pairs, 'pair')} "
        f"({difference_text(pair)}): the tutorial's sentence is not confirmed, nor refuted. {left_open(pair)}"
    )


def _with_or_without(label: str, pair: PairedComparison) -> str:
    if not pair.pairs:
        return f"{label}: no pair with and without BatchNorm has finished."
    winner = better(pair)
    if winner == "convention":
        return (
            f"With {label}, a network without BatchNorm does worse than with pre-activation: {difference_text(pair)}."
        )
    if winner:
        return (
            f"With {label}, a network without BatchNorm does better than with pre-activation: {difference_text(pair)}."
        )
    return f"With {label}, whether BatchNorm before the activation helps cannot be told: {difference_text(pair)}."


def _speed(epochs: dict[str, list[float]]) -> str:
    goal = epochs["no-norm"][-1]
    reached = {
        order: next((number for number, value in enumerate(epochs[order], start=1) if value >= goal), None)
        for order in ("convention", "swap")
    }
    words = [
        f"{NAMES[order]} {'never' if epoch is None else f'after epoch {epoch}'}" for order, epoch in reached.items()
    ]
    return (
        f"Speed: without BatchNorm the mean accuracy ends at {decimal(goal, 2)} % after epoch "
        f"{len(epochs['no-norm'])}. The others reach that: {', '.join(words)}."
    )


def parts(size: str) -> Sequence[Measurement | Training]:
    """By hand, in a model, and trained."""
    small = CompareConfig(orders=tuple(NAMES), activations=("relu",))
    paper = dataclasses.replace(small, width=32, dataset="fashion_mnist", epochs=20, seeds=tuple(range(10)))
    return (
        BY_HAND,
        KERAS_STYLE,
        Training(
            name="pre-and-post",
            title="Before the activation, after it, or not at all",
            config={"small": small, "paper": paper}[size],
            present=present_training,
        ),
    )


EXPERIMENT = Experiment(
    name="seed-004-basics",
    title="Batch normalisation from scratch: what is it made of, and does it help?",
    introduction=(
        "A tutorial, “Batch Normalization” (reading time 30 minutes, coding time 15 minutes), explains batch norm, "
        "writes it in NumPy with a cache, puts it into a small Keras model, and distinguishes pre-activation and "
        "post-activation normalisation.",
        "Here all of it is done again with the parts that it leaves out: the backward pass that the cache is for, held "
        "against this package's operation; what is trained and what is not; evaluation; the model with its shapes and "
        "parameters; and the three networks, before, after and without, trained side by side. Where the tutorial has "
        "slipped, it is said: mean and deviation are not trained, the snippet has a typing error, and its axis is "
        "probably not the one that is meant. And what it calls covariance shift is known as covariate shift.",
    ),
    parts=parts,
)
