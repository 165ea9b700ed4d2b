"""Seed 002: does a ReLU behind BatchNorm do anything? A question, its two answers and a comment, with numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..comparison import Comparison, RunRecord
from ..config import CompareConfig, Condition
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import Chart, legend, look, panels, title
from ..quantities import DEAD, ZEROS, Quantity
from ..statistics import plural
from ..tables import Table
from .batch_noise import batch_noise
from .bn_range import bn_range
from .dead_units import dead_units
from .experiment import Experiment, Measurement, Training
from .gradient_depth import gradient_depth
from .structural_facts import structural_facts

ORDER_NAMES = {"no-norm": "without BN", "convention": "BN before", "swap": "BN behind"}


def present(comparison: Comparison) -> list[Section]:
    """Exact zeros and dead channels of the trained networks, by order and learning rate."""
    return [
        Section(
            "zeros-and-dead-channels",
            "What the activation removes, and what it kills",
            (
                Text(
                    "“ReLU will not have any effect when applied after BN”, fears the question; “it might be better to "
                    "use Leaky ReLU to avoid dead neurons”, says the second answer. Over the test set, after training: "
                    "the share of values that are exactly 0 at a block's output (mean over blocks), and channels and "
                    "units whose activation is 0 for every image."
                ),
                *(Finding(sentence) for sentence in _findings(comparison)),
                Figure(
                    "zeros-and-dead-channels",
                    "Exact zeros at the blocks' outputs and dead channels, by learning rate (mean over seeds).",
                    lambda: _chart(comparison),
                ),
                CaptionedTable(
                    "zeros-and-dead-channels",
                    "The same as numbers, with the number of trainings that diverged.",
                    _table(comparison),
                ),
            ),
        )
    ]


def _mean(records: Sequence[RunRecord], quantity: Quantity) -> float:
    """The mean of a quantity over those runs that stayed finite; nan without any."""
    found = [quantity.of(record.result) for record in records if not record.result["diverged"]]
    values = [value for value in found if value is not None and math.isfinite(value)]
    return math.fsum(values) / len(values) if values else math.nan


def _findings(comparison: Comparison) -> list[str]:
    sentences = []
    for activation in comparison.config.activations:
        zeros, dead = [], []
        for order in comparison.orders:
            records = _records(comparison, activation, order)
            counted = _mean(records, ZEROS)
            if not math.isnan(counted):
                zeros.append(f"{100 * counted:.0f} % {ORDER_NAMES.get(order, order)}")
                dead.append(f"{_mean(records, DEAD):.1f} {ORDER_NAMES.get(order, order)}")
        if zeros:
            sentences.append(
                f"{activation}, over all learning rates: exact zeros at the blocks' outputs {', '.join(zeros)}; dead "
                f"channels per network {', '.join(dead)}."
            )
    return sentences or ["No training has finished."]


def _records(comparison: Comparison, activation: str, order: str) -> list[RunRecord]:
    conditions = [condition for condition in comparison.conditions if condition.activation == activation]
    return [record for condition in conditions for record in comparison.of(condition, order)]


def _table(comparison: Comparison) -> Table:
    heading = ("condition, order", "exact zeros", "dead channels", "of", "diverged")
    body = []
    for condition in comparison.conditions:
        for order in comparison.orders:
            records = comparison.of(condition, order)
            if records:
                channels = sum(layer["channels"] for layer in records[0].result["layers"])
                body.append(
                    (
                        f"{condition.label}, {order}",
                        _shown(100 * _mean(records, ZEROS), " %"),
                        _shown(_mean(records, DEAD), ""),
                        str(channels),
                        f"{sum(record.result['diverged'] for record in records)} of {plural(len(records), 'run')}",
                    )
                )
    return Table(heading, tuple(body), ())


def _shown(value: float, unit: str) -> str:
    return "none" if math.isnan(value) else f"{value:.1f}{unit}"


def _chart(comparison: Comparison) -> Chart:
    activations = comparison.config.activations
    channels = [sum(layer["channels"] for layer in record.result["layers"]) for record in comparison.finished]
    figure, axes = panels(len(activations), rows=2, height=4.8)
    for row, (quantity, name, factor) in enumerate(((ZEROS, "exact zeros (%)", 100.0), (DEAD, "dead channels", 1.0))):
        for column, activation in enumerate(activations):
            panel = axes[row * len(activations) + column]
            conditions = [condition for condition in comparison.conditions if condition.activation == activation]
            for index, order in enumerate(comparison.orders):
                values = [factor * _mean(comparison.of(condition, order), quantity) for condition in conditions]
                panel.plot(
                    range(len(conditions)), values, label=ORDER_NAMES.get(order, order), clip_on=False, **look(index)
                )
            panel.set_xticks(range(len(conditions)), [_rate(condition) for condition in conditions])
            panel.set_ylim(0, 100 if quantity is ZEROS else max(channels, default=1))
            title(panel, f"{activation}: {name}")
    for panel in axes[len(activations) :]:
        panel.set_xlabel("learning rate")
    legend(axes[0])
    return Chart(figure)


def _rate(condition: Condition) -> str:
    return f"{condition.settings['learning_rate']:g}" if "learning_rate" in condition.settings else ""


SMALL = CompareConfig(
    model="small_cnn",
    width=8,
    dataset="fashion_mini",
    epochs=3,
    activations=("relu", "leaky_relu"),
    orders=("no-norm", "convention", "swap"),
    seeds=(0, 1, 2, 3, 4, 5),
    vary={"learning_rate": (0.02, 0.5)},
)
PAPER = CompareConfig(
    model="vgg11",
    width=64,
    dataset="cifar10",
    augmentation="crop-flip",
    epochs=30,
    batch_size=128,
    activations=("relu", "leaky_relu"),
    orders=("no-norm", "convention", "swap"),
    seeds=(0, 1, 2, 3, 4, 5),
    vary={"learning_rate": (0.005, 0.02, 0.1, 0.5)},
)


def _parts(size: str) -> list[Measurement | Training]:
    return [
        bn_range(size),
        dead_units(size),
        batch_noise(size),
        gradient_depth(size),
        structural_facts(size),
        Training(
            name="with-and-without",
            title="Trained with and without BatchNorm",
            config=SMALL if size == "small" else PAPER,
            present=present,
        ),
    ]


EXPERIMENT = Experiment(
    name="seed-002-bn-then-relu",
    title="Does a ReLU behind BatchNorm do anything?",
    introduction=(
        "On a question-and-answer site somebody asks: “ReLU transform all negative values to zero. But "
        "Batch-Normalization already transforms all values by restricting them to a value between zero and one. So "
        "ReLU will not have any effect when applied after BN, because there will not be any negative values left. Am I "
        "right, or am I missing something?” Two answers and a comment follow: about noise, dead neurons, the shift "
        "beta, Leaky ReLU, and very deep networks.",
        "Each statement is measured here: where BatchNorm's output lies and what ReLU removes; which units die, with "
        "BatchNorm before ReLU, behind it and without; how noisy a batch's statistics are; how large gradients are in "
        "networks of 10 to 100 layers, against mean-field theory; and what follows from the order alone. Then small "
        "networks are trained with and without BatchNorm.",
        "What to look at: the share that ReLU removes, beside the question; the dead units at large learning rates, "
        "beside the comment; and the gradient in deep networks, beside the second answer.",
    ),
    parts=_parts,
)
