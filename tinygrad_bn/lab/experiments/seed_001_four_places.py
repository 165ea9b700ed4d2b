"""BatchNorm at one of four places around a hidden layer: what that layer then gets, and what training makes of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ... import data, nn
from ...autograd import no_grad
from ...backend import manual_seed
from ...functional import get_activation
from ...tensor import Tensor
from ..comparison import Comparison
from ..config import CompareConfig, Condition, RunConfig
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import FAINT, MARKERS, Chart, colour, panels, title
from ..statistics import PairedComparison, plural
from ..tables import Table
from ..training import build_model, train
from .claims import better, difference_text, left_open
from .experiment import Experiment, Measurement, Training
from .moments import decimal
from .seed_000_population import expectation

#: Words for the two hidden layers -> the document's option, and the place in words; “the layer” is the second one.
PLACES = {
    "swap+no-norm": ("2", "after the previous layer's activation"),
    "convention+no-norm": ("1", "before the previous layer's activation"),
    "no-norm+convention": ("3", "after the layer, before its activation"),
    "no-norm+swap": ("4", "after the layer's activation"),
    "no-norm": ("none", "no BatchNorm"),
}
#: The option that the document marks as the answer: what the others are held against.
MARKED = "swap+no-norm"
#: A unit whose output deviates by less than this over all images says nothing: BatchNorm cannot standardise it.
DEAD = 1e-3


def measure_input(*, dataset: str, width: int, activations: list[str], epochs: int, seed: int) -> dict[str, Any]:
    """Look at what the second hidden layer gets, in every option, before and after a short training.

    The values are those of the whole test set as one batch, in training mode, so that BatchNorm normalises with the
    statistics of that batch.

    Returns:
        images; expected: for each activation the mean and deviation of activation(z), z ~ N(0, 1); cases: for each
        option, activation and time the mean and deviation of every unit, and BatchNorm's beta and |gamma| where it is
        the last thing before the layer; in_evaluation: means and deviations with the running averages.
    """
    test_set = data.load(dataset, "test")
    normalize = data.Normalize(*_statistics(dataset))
    (images, _), *_ = data.DataLoader(test_set, len(test_set), transform=normalize)
    cases = []
    for activation in activations:
        for order in PLACES:
            config = RunConfig(
                model="mlp",
                depth=2,
                width=width,
                dataset=dataset,
                epochs=epochs,
                order=order,
                activation=activation,
                seed=seed,
            )
            manual_seed(seed)
            models = {"before training": build_model(config, test_set), "after training": train(config).model}
            cases += [
                {"option": order, "activation": activation, "time": time, **_input_of_second(model, images)}
                for time, model in models.items()
            ]
    return {
        "images": len(test_set),
        "epochs": epochs,
        "dataset": dataset,
        "width": width,
        "expected": {activation: _activated_normal(activation) for activation in activations},
        "cases": cases,
    }


def _statistics(dataset: str) -> tuple[Any, Any]:
    training_set = data.load(dataset, "train")
    return training_set.mean, training_set.std


def _input_of_second(model: nn.Module, images: Tensor) -> dict[str, Any]:
    first = model.features[0]
    images = images.to(next(model.parameters()).device)
    with no_grad():
        # Evaluation first: a pass in training mode moves the running averages.
        model.eval()
        evaluated = first(model.flatten(images)).numpy().astype(np.float64)
        model.train()
        output = first(model.flatten(images)).numpy().astype(np.float64)
    last = list(first.children())[-1]
    parameters = dict(last.named_parameters()) if isinstance(last, nn.BatchNorm1d) else {}
    return {
        "means": output.mean(axis=0).tolist(),
        "deviations": output.std(axis=0).tolist(),
        "affine": [parameters["bias"].tolist(), parameters["weight"].abs().tolist()] if parameters else [],
        "in_evaluation": [evaluated.mean(axis=0).tolist(), evaluated.std(axis=0).tolist()],
    }


def _activated_normal(activation: str) -> dict[str, float]:
    """Mean and deviation of activation(z), by numerical integration."""
    function = get_activation(activation).function

    def value(z: float) -> float:
        return float(function(Tensor(np.array([z]))).item())

    mean = expectation(value)
    return {"mean": mean, "deviation": math.sqrt(expectation(lambda z: value(z) ** 2) - mean**2)}


def present_input(numbers: dict[str, Any]) -> Sequence[Section]:
    """Hold the document's argument against the measured inputs."""
    return tuple(_input_section(numbers, activation) for activation in numbers["expected"])


def _input_section(numbers: dict[str, Any], activation: str) -> Section:
    cases = [case for case in numbers["cases"] if case["activation"] == activation]
    expected = numbers["expected"][activation]
    rows = tuple((_name(case["option"]), case["time"], *_spread(case)) for case in cases)
    parts: list[Any] = []
    if activation == next(iter(numbers["expected"])):
        parts.append(
            Text(
                f"A multi-layer perceptron on {numbers['dataset']} with two hidden layers of {numbers['width']} units. "
                "The second one is the layer to be affected, and what it gets is looked at: the mean and the standard "
                f"deviation of each of its inputs over {numbers['images']:,} test images as one batch, normalised with "
                "the statistics of that batch, before training and after "
                f"{plural(numbers['epochs'], 'epoch')}. In options 3, 4 and without BatchNorm nothing stands before "
                "the layer but the previous layer, so that before training they are the same."
            )
        )
    parts += [
        Figure(
            f"input-{activation}",
            f"{activation}: every dot is one input of the second hidden layer. The lines cross at mean 0 and standard "
            "deviation 1. Mind the scales: each row has its own.",
            partial(input_chart, cases),
        ),
        CaptionedTable(
            f"input-{activation}",
            "Mean over the units, in brackets the smallest and the largest. For a normal distribution with mean 0 "
            f"and deviation 1 before the activation, {activation} would give mean {decimal(expected['mean'])} and "
            f"deviation {decimal(expected['deviation'])} (by integration).",
            Table(("option", "when", "mean of a unit", "deviation of a unit"), rows, ()),
        ),
        *(Finding(text) for text in _input_findings(cases, expected)),
    ]
    return Section(f"input-{activation}", f"What the layer gets, with {activation}", tuple(parts))


def _input_findings(cases: list[dict[str, Any]], expected: dict[str, float]) -> list[str]:
    found = {(case["option"], case["time"]): case for case in cases}
    before, after = (
        {option: found[option, time] for option in PLACES} for time in ("before training", "after training")
    )
    marked = before[MARKED]
    alive = np.array(marked["deviations"]) > DEAD
    off = max(np.abs(marked["means"])[alive].max(), np.abs(np.array(marked["deviations"]) - 1.0)[alive].max())
    standardised = "standardised, up to BatchNorm's eps" if off < 0.01 else "not standardised"
    alive = np.array(after[MARKED]["deviations"]) > DEAD
    beta, gamma = after[MARKED]["affine"]
    follows = _farthest([after[MARKED]["means"], after[MARKED]["deviations"]], [beta, gamma], alive)
    evaluated = _farthest(after[MARKED]["in_evaluation"], [beta, gamma], alive)
    kept = "are still" if follows < 0.01 else "are no longer"
    dead = int(np.sum(~alive))
    first = before["convention+no-norm"]
    mean, deviation = np.mean(first["means"]), np.mean(first["deviations"])
    none = before["no-norm"]
    return [
        f"Option 2, before training: every input of the layer is {standardised}; no unit is farther than "
        f"{decimal(off)} from mean 0 or deviation 1. After training the means {kept} β and the deviations |γ| "
        f"(largest difference {decimal(follows)}): two learned numbers per unit, whatever the weights before them "
        "do. In evaluation, with running averages in place of the batch's statistics, they differ by up to "
        f"{decimal(evaluated, 2)}."
        + (f" Left out: {plural(dead, 'unit')} that the activation has made constant, with β alone." if dead else ""),
        f"Option 1 gives the layer what the activation makes of standardised values: mean {decimal(mean, 3)} and "
        f"deviation {decimal(deviation, 3)} over the units, where a normal distribution would give "
        f"{decimal(expected['mean'], 3)} and {decimal(expected['deviation'], 3)}. The document's argument holds as far "
        "as that: an activation stands between BatchNorm and the layer. The means of the units lie between "
        f"{_range(first['means'])}, {_narrower(first['means'], none['means'])} without BatchNorm "
        f"({_range(none['means'])}).",
        "Options 3 and 4 normalise what the layer gives, not what it gets: after training the means of its inputs lie "
        f"between {_range(after['no-norm+convention']['means'])} (3) and {_range(after['no-norm+swap']['means'])} (4), "
        f"in option 2 between {_range(after[MARKED]['means'])}.",
    ]


def _farthest(found: list[list[float]], wanted: list[list[float]], among: np.ndarray[Any, Any]) -> float:
    return float(np.abs(np.subtract(found, wanted))[:, among].max())


def _spread(case: dict[str, Any]) -> tuple[str, str]:
    cells = (f"{decimal(float(np.mean(case[key])), 3)} ({_range(case[key])})" for key in ("means", "deviations"))
    first, second = cells
    return first, second


def _range(values: list[float]) -> str:
    return f"{decimal(min(values), 2)} and {decimal(max(values), 2)}"


def _narrower(first: list[float], second: list[float]) -> str:
    ratio = (max(second) - min(second)) / (max(first) - min(first))
    return f"{ratio:.0f} times closer together than" if ratio > 1.5 else "no closer together than"


def _name(order: str) -> str:
    option, place = PLACES[order]
    return place if option == "none" else f"{option}: {place}"


def input_chart(cases: list[dict[str, Any]]) -> Chart:
    """Mean and deviation of every input of the second layer: one column per option, one row per time."""
    times = list(dict.fromkeys(case["time"] for case in cases))
    figure, axes = panels(len(PLACES), rows=len(times), width=9.4, height=4.4)
    ordered = sorted(cases, key=lambda case: (times.index(case["time"]), *_position(case["option"])))
    for panel, case in zip(axes, ordered, strict=True):
        series = list(PLACES).index(case["option"])
        panel.axvline(0.0, color=FAINT, linewidth=0.8)
        panel.axhline(1.0, color=FAINT, linewidth=0.8)
        panel.scatter(
            case["means"],
            case["deviations"],
            s=14,
            color=colour(series),
            marker=MARKERS[series],
            alpha=0.55,
            linewidths=0,
        )
        option, _ = PLACES[case["option"]]
        title(panel, ("no BatchNorm" if option == "none" else f"option {option}") + f"\n{case['time']}")
        panel.set_xlabel("mean of the unit")
    for row, time in enumerate(times):
        # A scale for each time: after the training the values are far wider than before.
        own = [case for case in cases if case["time"] == time]
        means = [0.0, *(mean for case in own for mean in case["means"])]
        highest = max(1.0, *(max(case["deviations"]) for case in own))
        margin = 0.08 * (max(means) - min(means))
        for panel in axes[row * len(PLACES) : (row + 1) * len(PLACES)]:
            panel.set_xlim(min(means) - margin, max(means) + margin)
            panel.set_ylim(0.0, 1.08 * highest)
        axes[row * len(PLACES)].set_ylabel("its deviation")
    return Chart(figure)


def _position(order: str) -> tuple[bool, str]:
    option, _ = PLACES[order]
    return option == "none", option


def present_training(comparison: Comparison) -> Sequence[Section]:
    """Put the document's answer beside what the pairs say."""
    return tuple(_answer_section(comparison, condition) for condition in comparison.conditions)


def _answer_section(comparison: Comparison, condition: Condition) -> Section:
    pairs = {pair.second: pair for pair in comparison.pairs(condition)}
    means = {order: list(comparison.accuracies(condition, order).values()) for order in comparison.orders}
    verdicts = {
        "1": "not the answer",
        "2": "the answer",
        "3": "not the answer",
        "4": "not the answer",
        "none": "not asked",
    }
    rows = tuple(
        (
            _name(order),
            verdicts[PLACES[order][0]],
            decimal(float(np.mean(means[order])), 2) if means[order] else "none",
            difference_text(pairs[order]) if order in pairs else "what the others are held against",
        )
        for order in sorted(comparison.orders, key=_position)
    )
    parts: list[Any] = []
    if condition == comparison.conditions[0]:
        parts.append(
            Text(
                "The document marks option 2. Every other option, and the network without BatchNorm, is held against "
                f"it, paired by seed. That is {plural(len(pairs) * len(comparison.conditions), 'comparison')} on this "
                "page, each at its own level of .05, without a correction."
            )
        )
    parts += [
        CaptionedTable(
            f"answer-{condition.key}",
            f"{condition.label}: the document's answer, mean test accuracy (%) over the seeds, and the paired "
            "difference from option 2 in percentage points with its 95 % interval and sign-flip p.",
            Table(("place", "the document", "accuracy", "difference from option 2"), rows, ()),
        ),
        *(Finding(text) for text in _answer(condition.label, list(pairs.values()))),
    ]
    return Section(f"answer-{condition.key}", f"The four options, {condition.label}", tuple(parts))


def _answer(label: str, pairs: list[PairedComparison]) -> list[str]:
    options = [pair for pair in pairs if PLACES[pair.second][0] != "none" and pair.pairs]
    if not options:
        return [f"{label}: no pair has finished, so nothing can be said yet."]
    worse = [pair.second for pair in options if better(pair) == MARKED]
    ahead = [pair.second for pair in options if better(pair) == pair.second]
    open_ones = [pair for pair in options if not pair.called]
    if ahead:
        text = f"With {label} the marked answer is not the best one here: {_options(ahead)} did better than option 2."
    elif len(worse) == len(options):
        text = f"With {label} the marked answer holds here: option 2 did better than {_options(worse)}."
    elif worse:
        text = f"With {label} option 2 did better than {_options(worse)}; nothing did better than option 2."
    else:
        text = f"With {label} no option could be told from option 2."
    texts = [text]
    texts += [f"Option 2 or option {PLACES[pair.second][0]} remains open. {left_open(pair)}" for pair in open_ones]
    texts += [_against_none(pair) for pair in pairs if PLACES[pair.second][0] == "none" and pair.pairs]
    return texts


def _options(orders: Sequence[str]) -> str:
    numbers = sorted(PLACES[order][0] for order in orders)
    return f"option {numbers[0]}" if len(numbers) == 1 else f"options {', '.join(numbers[:-1])} and {numbers[-1]}"


def _against_none(pair: PairedComparison) -> str:
    winner = better(pair)
    if winner == MARKED:
        return f"One BatchNorm in place 2 does better than none at all: {difference_text(pair)} without it."
    if winner:
        return f"Here the network does better without any BatchNorm: {difference_text(pair)} without it."
    return f"Whether a BatchNorm in place 2 helps at all cannot be told here: {difference_text(pair)} without it."


def parts(size: str) -> Sequence[Measurement | Training]:
    """The inputs of the layer, and the training of the options."""
    small = CompareConfig(
        model="mlp",
        depth=2,
        width=64,
        epochs=5,
        orders=tuple(PLACES),
        activations=("relu", "tanh"),
        seeds=tuple(range(6)),
    )
    paper = dataclasses.replace(small, width=256, dataset="fashion_mnist", epochs=20, seeds=tuple(range(10)))
    return (
        Measurement(
            name="input-of-the-layer",
            heading="The document's argument, measured",
            measure=measure_input,
            present=present_input,
            parameters={
                "dataset": "fashion_mini",
                "width": 64,
                "activations": ["relu", "tanh"],
                "epochs": 2,
                "seed": 0,
            },
        ),
        Training(
            name="four-places",
            title="The options, trained",
            config={"small": small, "paper": paper}[size],
            present=present_training,
        ),
    )


EXPERIMENT = Experiment(
    name="seed-001-four-places",
    title="One hidden layer, four places for BatchNorm: which one?",
    introduction=(
        "“A morning walk” (October 2022) lets Maria put one BatchNorm into her network to speed up its training, "
        "right before a hidden layer, and asks where: 1. before the activation of the previous layer; 2. after it; "
        "3. after the layer but before its activation; 4. after its activation. Its answer is 2. It quotes Ioffe & "
        "Szegedy (2015), who prefer the place before the nonlinearity, and a blog post that found the place after "
        "it better, because otherwise “the batch norm layer cannot fully control the statistics of the input going "
        "into the next layer”.",
        "Two questions are in that. What does the layer get in each option? That can be measured, and comes first. "
        "And does it matter to the training? That is answered with networks of two hidden layers that have "
        "BatchNorm at one place, or nowhere, and differ in nothing else.",
    ),
    parts=parts,
)
