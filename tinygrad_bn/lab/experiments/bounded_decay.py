"""Weight decay on BatchNorm's parameters: the paper's two ablations, from our runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from .. import quantities
from ..comparison import Comparison
from ..config import Condition, TrainingConfig
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..quantities import Quantity
from ..statistics import PairedComparison, compare_pairs, plural
from ..tables import Table
from . import bounded_published as published
from .bounded_charts import decay_chart
from .claims import difference_text
from .moments import decimal

#: How fast a decay pulls, as the sum of the learning rates over the training's steps: 200 epochs of the paper, with a
#: tenth of the learning rate after half and a hundredth after three quarters.
PUBLISHED_SUM = (
    published.LEARNING_RATE * published.STEPS_PER_EPOCH * published.EPOCHS * (0.5 + 0.25 * 0.1 + 0.25 * 0.01)
)


def sum_of_learning_rates(config: TrainingConfig, training_images: int) -> float:
    """The sum of the learning rates over all steps; half of the first one on average, for the cosine schedule."""
    average = {"cosine": 0.5, "constant": 1.0, "two_drops": 0.5275, "one_cycle": 0.5}[config.schedule]
    return average * config.learning_rate * config.epochs * (training_images // config.batch_size)


def present_decay(setting: str, quantity: Quantity, comparison: Comparison) -> Sequence[Section]:
    """A quantity and the accuracy against a weight decay.

    Args:
        setting: the varied field.
        quantity: what is expected to change with it: skewness or sparsity.
        comparison: of one order and activation under several values of the setting.
    """
    (order,) = comparison.orders
    rows = []
    for condition in comparison.conditions:
        values = [comparison.values(condition, order, one) for one in (quantity, quantities.ACCURACY)]
        cells = (decimal(_mean(found), places) for found, places in zip(values, (3, 2), strict=True))
        difference = [_against_first(comparison, one, condition.label) for one in (quantity, quantities.ACCURACY)]
        rows.append((f"{condition.settings[setting]:g}", *cells, plain(difference[0]), difference_text(difference[1])))
    heading = ("weight decay", quantity.title, "accuracy (%)", "change", "change of accuracy")
    falls = setting == "beta_weight_decay"
    claim = (
        "NWDBN with a weight decay on β alone (0 to 0.001): skewness and accuracy fall together"
        if falls
        else "Swap with a weight decay on γ and β (0 to 0.0005): sparsity and accuracy rise together"
    )
    name = f"decay-{setting.split('_')[0]}"
    return (
        Section(
            name,
            f"{'Weight decay on β' if falls else 'Weight decay on γ and β'} against {quantity.title}",
            (
                Text(f"The paper, VGG16 on CIFAR-100: {claim}. {_length_text(comparison)}"),
                Figure(
                    name,
                    "Dots are single runs, lines their means over the seeds. The values stand side by side.",
                    partial(decay_chart, comparison, setting, (quantity, quantities.ACCURACY)),
                ),
                CaptionedTable(
                    name,
                    f"{order}, {comparison.config.activations[0]}: means over "
                    f"{plural(len(comparison.config.seeds), 'seed')}, and paired differences from the first row.",
                    Table(heading, tuple(rows), ()),
                ),
                Finding(_decay_finding(comparison, setting, quantity)),
            ),
        ),
    )


def _mean(values: dict[int, float]) -> float | None:
    return math.fsum(values.values()) / len(values) if values else None


def _against_first(comparison: Comparison, quantity: Quantity, label: str) -> PairedComparison:
    (order,) = comparison.orders
    first = comparison.conditions[0]
    return compare_pairs(
        first.label, label, comparison.values(first, order, quantity), comparison.values(label, order, quantity)
    )


def plain(pair: PairedComparison) -> str:
    """A difference without unit: `+0.123 [+0.101, +0.150]`."""
    if not pair.pairs:
        return "none"
    interval = f" [{decimal(pair.interval[0], 3)}, {decimal(pair.interval[1], 3)}]" if pair.interval else ""
    sign = "+" if pair.mean_difference > 0.0 else ""
    return f"{sign}{decimal(pair.mean_difference, 3)}{interval}"


def _length_text(comparison: Comparison) -> str:
    found = [record.result.get("training_images") for record in comparison.finished]
    if not found or found[0] is None:
        return "How long the training is decides how far a decay pulls."
    ours = sum_of_learning_rates(comparison.config, found[0])
    times = PUBLISHED_SUM / ours
    text = (
        "A decay pulls with every step, in proportion to the learning rate, so that what counts is the decay times the "
        f"sum of the learning rates: about {PUBLISHED_SUM:.0f} in the paper's runs (at learning rate "
        f"{published.LEARNING_RATE:g}) and {ours:.3g} here. "
    )
    if times > 2.0:
        text += f"A decay here pulls as far as one {times:.0f} times smaller there; our range is therefore wider."
    return text


def _decay_finding(comparison: Comparison, setting: str, quantity: Quantity) -> str:
    expected = "falls" if setting == "beta_weight_decay" else "rises"
    steps = [_step(comparison, setting, quantity, condition) for condition in comparison.conditions[1:]]
    if not all(step.changed.pairs and step.accuracy.pairs for step in steps):
        return "Not enough runs have finished to say what the weight decay does."
    together = [step for step in steps if (_word(step.changed), _word(step.accuracy)) == (expected, expected)]
    moved = [step for step in steps if _word(step.changed) == expected]
    text = " ".join(
        f"At {step.decay:g} {quantity.title} {_word(step.changed)} ({plain(step.changed)}) and accuracy "
        f"{_word(step.accuracy)} ({difference_text(step.accuracy)})."
        for step in dict.fromkeys((together or steps)[-1:] + steps[-1:])
    )
    if together:
        both = ", ".join(f"{step.decay:g}" for step in together)
        verdict = f"At {both} both {'fall' if expected == 'falls' else 'rise'} together, as in the paper"
        verdict += "." if steps[-1] in together else "; beyond, accuracy no longer follows."
    elif moved:
        verdict = "The mechanism is that of the paper, but accuracy does not follow it here."
    else:
        start = _mean(comparison.values(comparison.conditions[0], comparison.orders[0], quantity))
        verdict = f"That is not what the paper sees. (Without a decay it is {decimal(start, 3)} here.)"
    within = [step for step in steps if step.decay <= 1e-3 and (step.changed.called or step.accuracy.called)]
    small = (
        f"Decays of up to 0.001 already change something that can be called ({within[0].decay:g})."
        if within
        else "Decays of up to 0.001 change nothing that could be called in a training this short."
    )
    return f"Against no decay: {text} {verdict} {small}"


class _Step(NamedTuple):
    """What a weight decay changes against none."""

    decay: float
    changed: PairedComparison
    accuracy: PairedComparison


def _step(comparison: Comparison, setting: str, quantity: Quantity, condition: Condition) -> _Step:
    pairs = (_against_first(comparison, one, condition.label) for one in (quantity, quantities.ACCURACY))
    return _Step(condition.settings[setting], *pairs)


def _word(pair: PairedComparison) -> str:
    if not pair.called:
        return "does not change measurably"
    return "rises" if pair.mean_difference > 0.0 else "falls"
