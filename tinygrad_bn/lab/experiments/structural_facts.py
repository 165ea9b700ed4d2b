"""What follows from the order alone, shown with numbers: scales, biases, pools, tanh's inputs, and folding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ... import functional as F
from ... import nn
from ...autograd import no_grad
from ...backend import manual_seed
from ...tensor import Tensor
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import Chart, colour, legend, line, panels
from ..probes import weight_layers
from ..tables import Table
from .bn_folding import folding, folding_section
from .experiment import Measurement
from .moments import decimal, moments

Numbers = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]

#: A relative change or cosine below this is rounding, and what BatchNorm's eps adds.
NOTHING = 1e-3


def measure(
    orders: Sequence[str],
    activations: Sequence[str],
    factor: float,
    pooled: Sequence[str],
    tanh_inputs: Sequence[Sequence[float]],
    sample: int,
    steps: int,
    learning_rates: Sequence[float],
) -> Numbers:
    """Scale invariance, the bias's gradient, pooling, tanh's moments, folding, and the growth of weights.

    Args:
        orders, activations: of the networks whose weights are scaled by `factor`.
        pooled: activations that are exchanged with a max-pool.
        tanh_inputs: (mean, deviation) of the normal inputs of a tanh.
        sample: number of these inputs.
        steps, learning_rates: of gradient descent, for the growth of weights.
    """
    return {
        "factor": factor,
        "scaling": [_scaled(order, activation, factor) for order in orders for activation in activations],
        "biases": [_bias_gradient(order, activation) for order in orders for activation in activations],
        "pooling": [_exchanged(name, F.get_activation(name).function) for name in pooled]
        + [_exchanged(f"BatchNorm, gamma {gamma:+g}", _affine_norm(gamma)) for gamma in (1.5, -1.5)],
        "tanh": [_tanh(mean, deviation, sample) for mean, deviation in tanh_inputs],
        "folding": folding(),
        "growth": [
            {"order": order, "rate": rate, "norms": _weight_norms(order, rate, steps)}
            for order in ("convention", "no-norm")
            for rate in learning_rates
        ],
    }


def _network(order: str, activation: str, bias: bool) -> tuple[nn.Module, Tensor, Tensor]:
    """Two convolution blocks and a classifier in float64, and a batch of random images with labels."""
    manual_seed(0)
    generator = np.random.default_rng(0)
    model = nn.Sequential(
        nn.ConvBlock(2, 6, 3, order=order, activation=activation, bias=bias),
        nn.ConvBlock(6, 6, 3, order=order, activation=activation, bias=bias),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, 5),
    ).double()
    return model, Tensor(generator.normal(size=(64, 2, 8, 8))), Tensor(generator.integers(5, size=64))


def _scaled(order: str, activation: str, factor: float) -> Numbers:
    """Change of the loss when the first weight is multiplied, and the cosine between that weight and its gradient."""
    model, images, labels = _network(order, activation, bias=False)
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    layer = weight_layers(model)[0]
    weight = layer.module.weight
    assert weight.grad is not None
    values, gradient = weight.numpy().ravel(), weight.grad.numpy().ravel()
    cosine = float(values @ gradient / (np.linalg.norm(values) * np.linalg.norm(gradient)))
    with no_grad():
        weight.assign_(weight.numpy() * factor)
        change = float(F.cross_entropy(model(images), labels).item()) / float(loss.item()) - 1
    return {
        "order": order,
        "activation": activation,
        "change": change,
        "cosine": cosine,
        "expected": layer.scale_invariant,
        "reason": layer.reason,
    }


def _bias_gradient(order: str, activation: str) -> Numbers:
    """Norm of the first convolution's bias gradient over that of its weight."""
    model, images, labels = _network(order, activation, bias=True)
    F.cross_entropy(model(images), labels).backward()
    convolution = weight_layers(model)[0].module
    assert convolution.bias is not None
    assert convolution.bias.grad is not None
    assert convolution.weight.grad is not None
    ratio = np.linalg.norm(convolution.bias.grad.numpy()) / np.linalg.norm(convolution.weight.grad.numpy())
    return {"order": order, "activation": activation, "ratio": float(ratio)}


def _exchanged(name: str, function: Any) -> Numbers:
    """Largest difference between pooling before and behind a function."""
    values = Tensor(np.random.default_rng(0).normal(size=(64, 3, 8, 8)) * 2.0)
    difference = F.max_pool2d(function(values), 2).numpy() - function(F.max_pool2d(values, 2)).numpy()
    return {"name": name, "difference": float(np.abs(difference).max())}


def _affine_norm(gamma: float) -> Any:
    """BatchNorm in evaluation: pooling would change a batch's own statistics."""

    def norm(values: Tensor) -> Tensor:
        mean, variance, scale, shift = (Tensor(np.full(3, value)) for value in (0.3, 1.7, gamma, 0.2))
        return F.batch_norm(values, mean, variance, scale, shift)

    return norm


def tanh_moments(mean: float, deviation: float) -> dict[str, float]:
    """Skewness and mean magnitude of tanh of normal values, integrated by the midpoint rule."""
    nodes = np.arange(-12.0, 12.0, 1e-3) + 5e-4
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    values = np.tanh(mean + deviation * nodes)
    centred = values - weights @ values
    return {
        "skewness": float(weights @ centred**3 / (weights @ centred**2) ** 1.5),
        "saturation": float(weights @ np.abs(values)),
    }


def _tanh(mean: float, deviation: float, sample: int) -> Numbers:
    outputs = F.tanh(Tensor(mean + deviation * np.random.default_rng(0).normal(size=sample))).numpy()
    return {
        "mean": mean,
        "deviation": deviation,
        "skewness": moments(outputs)["skewness"],
        "saturation": float(np.abs(outputs).mean()),
        "derived": tanh_moments(mean, deviation),
    }


def _weight_norms(order: str, rate: float, steps: int) -> list[float]:
    """Norm of the first weight, step by step of plain gradient descent without weight decay."""
    model, images, labels = _network(order, "relu", bias=False)
    weight = weight_layers(model)[0].module.weight
    found = [float(np.linalg.norm(weight.numpy()))]
    for _ in range(steps):
        model.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        with no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.assign_(parameter.numpy() - rate * parameter.grad.numpy())
        found.append(float(np.linalg.norm(weight.numpy())))
    return found


def present(numbers: Numbers) -> list[Section]:
    """One section for each fact."""
    scaling, biases, pooling = numbers["scaling"], numbers["biases"], numbers["pooling"]
    return [
        Section(
            "weights-in-check",
            "Does BatchNorm keep the weights in check?",
            (
                Text(
                    "“… continuously keeping the weights in check”: BatchNorm never touches a weight. It makes the "
                    "loss forget the scale of the weight before it; then weight and gradient are orthogonal, and by "
                    "Pythagoras every step of plain gradient descent makes the weight longer, the more the larger the "
                    "learning rate. The loss does not mind; but the longer the weight, the smaller its gradient, so "
                    "the growth slows down. Weight decay, not BatchNorm, makes it shorter."
                ),
                Finding(_growth_finding(numbers["growth"])),
                Figure(
                    "weight-growth",
                    "Norm of the first weight over its initial value, in plain gradient descent without weight decay "
                    "(ReLU).",
                    lambda: _growth_chart(numbers["growth"]),
                ),
                Finding(_scaling_finding(scaling, numbers["factor"])),
                CaptionedTable(
                    "scale-invariance",
                    f"The first weight (no bias) multiplied by {numbers['factor']:g}, in training mode: relative "
                    "change of the loss, and cosine between the weight and its gradient.",
                    _scaling_table(scaling),
                ),
            ),
        ),
        Section(
            "bias-before-norm",
            "A bias right before BatchNorm does nothing",
            (
                Text("BatchNorm takes out each channel's mean, and with it whatever constant was added before."),
                Finding(_bias_finding(biases)),
                CaptionedTable(
                    "bias-gradient",
                    "Norm of the first convolution's bias gradient over the norm of its weight gradient.",
                    _bias_table(biases),
                ),
            ),
        ),
        Section(
            "pooling-commutes",
            "Max-pooling may change places with what is monotone",
            (
                Text(
                    "The largest of several values stays the largest under a function that never falls. BatchNorm with "
                    "a negative gamma falls: pooling behind it takes what was the smallest."
                ),
                Finding(_pooling_finding(pooling)),
                CaptionedTable(
                    "pooling-commutes",
                    "Largest difference between pooling before and behind a function.",
                    Table(
                        ("function", "difference"), tuple((p["name"], f"{p['difference']:.2g}") for p in pooling), ()
                    ),
                ),
            ),
        ),
        Section(
            "tanh-moments",
            "What tanh makes of normal inputs",
            (
                Text(
                    "BatchNorm before tanh with beta 0 centres its inputs, and its outputs are symmetric. Inputs with "
                    "a mean give one-sided outputs: skewness and saturation grow together."
                ),
                Finding(_tanh_finding(numbers["tanh"])),
                CaptionedTable(
                    "tanh-moments",
                    "Skewness and mean |tanh| for normal inputs: sampled through this package's tanh, and derived by "
                    "integration.",
                    _tanh_table(numbers["tanh"]),
                ),
            ),
        ),
        folding_section(numbers["folding"]),
    ]


def _growth_finding(growth: Sequence[Numbers]) -> str:
    parts = []
    for entry in growth:
        norms = entry["norms"]
        longer = sum(after > before for before, after in pairwise(norms))
        parts.append(
            f"{entry['order']} with learning rate {entry['rate']:g} after {longer} of {len(norms) - 1} steps, in the "
            f"end {norms[-1] / norms[0]:.2f} times as long"
        )
    normalized = [entry["norms"] for entry in growth if entry["order"] == "convention"]
    shorter = any(after < before for norms in normalized for before, after in pairwise(norms))
    verdict = (
        "With BatchNorm the weight also gets shorter" if shorter else "With BatchNorm the weight never gets shorter"
    )
    return f"{verdict}. It gets longer: {'; '.join(parts)}."


def _scaling_finding(scaling: Sequence[Numbers], factor: float) -> str:
    invariant = [entry for entry in scaling if is_invariant(entry)]
    names = "; ".join(
        f"{order} with {', '.join(e['activation'] for e in invariant if e['order'] == order)}"
        for order in dict.fromkeys(entry["order"] for entry in invariant)
    )
    wrong = [entry for entry in scaling if is_invariant(entry) != entry["expected"]]
    agrees = "as the structure says in every case" if not wrong else f"against what the structure says in {len(wrong)}"
    return (
        f"Multiplying the first weight by {factor:g} leaves the loss as it is in {len(invariant)} of {len(scaling)} "
        f"networks, {agrees}: {names}."
    )


def is_invariant(entry: Numbers) -> bool:
    """Whether neither the loss nor the direction of the gradient knows the weight's scale."""
    return max(abs(float(entry["change"])), abs(float(entry["cosine"]))) < NOTHING


def _bias_finding(biases: Sequence[Numbers]) -> str:
    silent = dict.fromkeys(entry["order"] for entry in biases if entry["ratio"] < NOTHING)
    heard = dict.fromkeys(entry["order"] for entry in biases if entry["ratio"] >= NOTHING)
    return (
        f"The first convolution's bias has no gradient in {', '.join(silent) or 'no order'}, and one in "
        f"{', '.join(heard) or 'no order'}."
    )


def _pooling_finding(pooling: Sequence[Numbers]) -> str:
    same = ", ".join(entry["name"] for entry in pooling if entry["difference"] < 1e-12)
    other = ", ".join(entry["name"] for entry in pooling if entry["difference"] >= 1e-12)
    return f"Nothing changes with {same or 'none of them'}; something does with {other or 'none of them'}."


def _pooling_rows(pooling: Sequence[Numbers]) -> tuple[tuple[str, ...], ...]:
    return tuple((entry["name"], f"{entry['difference']:.2g}") for entry in pooling)


def _tanh_finding(rows: Sequence[Numbers]) -> str:
    farthest = max(abs(row[key] - row["derived"][key]) for row in rows for key in ("skewness", "saturation"))
    first, last = rows[0], rows[-1]
    skewness = f"{decimal(first['skewness'], 3)} to {decimal(last['skewness'], 3)}"
    saturation = f"{decimal(first['saturation'], 3)} to {decimal(last['saturation'], 3)}"
    return (
        f"From mean {first['mean']:g} to mean {last['mean']:g} the skewness goes from {skewness} and the saturation "
        f"from {saturation}. "
        f"Sampled and derived values differ by at most {farthest:.3f}."
    )


def _scaling_table(scaling: Sequence[Numbers]) -> Table:
    heading = ("order, activation", "change of the loss", "cosine", "invariant", "why")
    body = tuple(
        (
            f"{entry['order']}, {entry['activation']}",
            f"{100 * entry['change']:+.4f} %".replace("-", "−"),
            f"{entry['cosine']:+.5f}".replace("-", "−"),
            "yes" if is_invariant(entry) else "no",
            entry["reason"],
        )
        for entry in scaling
    )
    return Table(heading, body, ())


def _bias_table(biases: Sequence[Numbers]) -> Table:
    activations = list(dict.fromkeys(entry["activation"] for entry in biases))
    ratios = {(entry["order"], entry["activation"]): entry["ratio"] for entry in biases}
    body = tuple(
        (order, *(f"{ratios[order, activation]:.1e}" for activation in activations))
        for order in dict.fromkeys(entry["order"] for entry in biases)
    )
    return Table(("order", *activations), body, ())


def _tanh_table(rows: Sequence[Numbers]) -> Table:
    heading = ("inputs (mean, deviation)", "skewness", "derived", "mean |tanh|", "derived")
    body = tuple(
        (
            f"({row['mean']:g}, {row['deviation']:g})",
            decimal(row["skewness"], 3),
            decimal(row["derived"]["skewness"], 3),
            f"{row['saturation']:.3f}",
            f"{row['derived']['saturation']:.3f}",
        )
        for row in rows
    )
    return Table(heading, body, ())


def _growth_chart(growth: Sequence[Numbers]) -> Chart:
    figure, (panel,) = panels(1, width=5.6, height=2.8)
    for index, entry in enumerate(growth):
        norms = np.array(entry["norms"])
        label = f"{entry['order']}, learning rate {entry['rate']:g}"
        panel.plot(norms / norms[0], color=colour(index), linestyle=line(index), label=label)
    panel.set_xlabel("step")
    panel.set_ylabel("norm, start = 1")
    legend(panel, loc="best")
    return Chart(figure)


PARAMETERS: Numbers = {
    "orders": ["convention", "swap", "preact", "no-norm"],
    "activations": ["relu", "leaky_relu", "tanh", "softsign"],
    "factor": 10.0,
    "pooled": ["relu", "leaky_relu", "tanh", "softsign", "sigmoid", "gelu"],
    "tanh_inputs": [[0.0, 1.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]],
    "sample": 400_000,
    "steps": 60,
    "learning_rates": [0.1, 1.0],
}


def structural_facts(size: str) -> Measurement:
    """The measurement; it is the same at every size."""
    return Measurement(
        name="structural-facts",
        measure=measure,
        present=present,
        parameters=PARAMETERS,
        heading="What follows from the order alone",
    )
