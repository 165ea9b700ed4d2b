"""How large the gradient is in each layer of a deep network at initialisation, in each order and without BatchNorm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ...backend import get_device, manual_seed
from ...tensor import Tensor
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import FAINT, INK, Chart, colour, legend, look, panels, title
from ..probes.norms import norms
from ..recipes import INITIALIZATIONS
from ..statistics import bootstrap_interval
from ..tables import Table
from .depth_theory import growth_factor, growth_limit
from .experiment import Measurement

Numbers = dict[str, Any]

#: The weights' variance times the fan-in, in layers of constant width.
WEIGHT_VARIANCE = {"default": 1 / 3, "xavier_normal": 1.0, "kaiming_normal": 2.0}
WITHOUT = "no-norm"
NAMES = {"relu": "ReLU", "tanh": "tanh", "identity": "linear (no activation)"}
SOURCE = (
    "G. Yang, J. Pennington, V. Rao, J. Sohl-Dickstein, S. Schoenholz: A Mean Field Theory of Batch Normalization, "
    "ICLR 2019, https://arxiv.org/abs/1902.08129"
)


def gradient_norms(
    order: str, activation: str, depth: int, width: int, batch_size: int, initialization: str, seed: int
) -> list[float]:
    """Norm of the gradient at each weight layer's output (B, width), first layer first, in float64.

    The network is a stack of fully connected blocks of one width, as initialised and in training mode. Its input and
    the gradient that comes in at its end are independent standard normal numbers, the same for one seed.
    """
    generator = np.random.default_rng(seed)
    manual_seed(seed)
    model = nn.Sequential(*(nn.LinearBlock(width, width, order, activation) for _ in range(depth)))
    INITIALIZATIONS[initialization](model)
    model.double()
    outputs: list[Tensor] = []

    def keep(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(keep)
    output = model(Tensor(generator.normal(size=(batch_size, width))))
    output.backward(Tensor(generator.normal(size=(batch_size, width))))
    gradients = [kept.grad for kept in outputs if kept.grad is not None]
    return [float(norm) for norm in norms([gradient.data for gradient in gradients], get_device("cpu"))]


def growth_per_layer(gradients: Sequence[float], margin: int) -> float:
    """Factor of the squared norm from one layer to the one before: a line through its logarithm, ends left out."""
    logarithms = 2.0 * np.log(gradients[margin : len(gradients) - margin])
    slope = np.polyfit(np.arange(len(logarithms)), logarithms, 1)[0]
    return math.exp(-slope)


def measure(
    depths: Sequence[int],
    width: int,
    batch_size: int,
    orders: Sequence[str],
    activations: Sequence[str],
    initializations: Sequence[str],
    seeds: int,
    factors: Numbers,
) -> Numbers:
    """Gradient norms by layer, and growth factors beside what theory says.

    Args:
        depths, width, batch_size, activations, seeds: of the networks whose profiles are measured.
        orders: those with BatchNorm; their weights are drawn with `xavier_normal`.
        initializations: of the networks without BatchNorm.
        factors: `depth`, `width`, `batch_sizes`, `seeds` of the networks whose growth is fitted, the widths of
            `narrower` ones, and the `margin`: layers at each end that the fit leaves out.
    """
    networks = [(order, "xavier_normal") for order in orders]
    networks += [(WITHOUT, initialization) for initialization in initializations]
    profiles = [
        {
            "activation": activation,
            "order": order,
            "initialization": initialization,
            "depth": depth,
            "log10_norms": _mean_logarithms(order, activation, depth, width, batch_size, initialization, seeds),
        }
        for activation in activations
        for order, initialization in networks
        for depth in depths
    ]
    fitted = []
    for activation in activations:
        kinds = [("convention", "xavier_normal")]
        # Without an activation between them, both orders are the same network.
        kinds += [("swap", "xavier_normal")] if activation != "identity" else []
        for order, initialization in kinds:
            fitted += [
                _fitted(order, activation, initialization, size, factors["width"], factors)
                for size in factors["batch_sizes"]
            ]
    by_width: list[Numbers] = []
    for activation in activations:
        by_width += [
            _fitted("convention", activation, "xavier_normal", batch_size, narrow, factors)
            for narrow in factors["narrower"]
        ]
        wanted = (activation, "convention", batch_size)
        by_width += [entry for entry in fitted if (entry["activation"], entry["order"], entry["batch_size"]) == wanted]
    without = [
        _fitted(WITHOUT, "relu", initialization, batch_size, factors["width"], factors)
        for initialization in initializations
    ]
    return {
        "width": width,
        "batch_size": batch_size,
        "seeds": seeds,
        "profiles": profiles,
        "factor_depth": factors["depth"],
        "factor_width": factors["width"],
        "factors": fitted,
        "by_width": by_width,
        "without": without,
    }


def _mean_logarithms(
    order: str, activation: str, depth: int, width: int, batch_size: int, initialization: str, seeds: int
) -> list[float]:
    found = [gradient_norms(order, activation, depth, width, batch_size, initialization, seed) for seed in range(seeds)]
    return [float(value) for value in np.log10(found).mean(axis=0)]


def _fitted(order: str, activation: str, initialization: str, batch_size: int, width: int, factors: Numbers) -> Numbers:
    values = [
        growth_per_layer(
            gradient_norms(order, activation, factors["depth"], width, batch_size, initialization, seed),
            factors["margin"],
        )
        for seed in range(factors["seeds"])
    ]
    interval, _ = bootstrap_interval(values)
    return {
        "activation": activation,
        "order": order,
        "initialization": initialization,
        "batch_size": batch_size,
        "width": width,
        "values": values,
        "mean": math.fsum(values) / len(values),
        "interval": None if interval is None else list(interval),
        "derived": _derived(order, activation, initialization, batch_size),
        "limit": None if order == WITHOUT else growth_limit(activation, order, WEIGHT_VARIANCE[initialization]),
    }


def _derived(order: str, activation: str, initialization: str, batch_size: int) -> float:
    variance = WEIGHT_VARIANCE[initialization]
    if order == WITHOUT:
        return variance / 2  # half of ReLU's derivatives are 1, the others 0
    if activation == "identity":
        return (batch_size - 2) / (batch_size - 3)
    return growth_factor(activation, order, batch_size, variance)


def present(numbers: Numbers) -> list[Section]:
    """The gradient by layer, its growth against theory, and what remains of the claim about weights in check."""
    fitted = numbers["factors"]
    batch_size = max(entry["batch_size"] for entry in fitted)
    largest = [entry for entry in fitted if entry["batch_size"] == batch_size]
    return [
        Section(
            "gradient-depth",
            "Does BatchNorm keep very deep networks in check?",
            (
                Text(
                    "“Think about very deep neural networks with +50 layers, how easily the weights could go bananas. "
                    "Batch-normalization normalizes after each batch, continuously keeping the weights in check”, says "
                    "the second answer. What BatchNorm normalises are a layer's outputs, not its weights; and what "
                    "matters for training is the gradient. Here it is, in fully connected networks of "
                    f"{numbers['width']} units per layer at initialisation, with a batch of {numbers['batch_size']} "
                    "normal inputs and random gradients at the output, at the output of each weight layer (mean of the "
                    f"logarithm over {numbers['seeds']} seeds)."
                ),
                *(Finding(sentence) for sentence in _depth_findings(numbers)),
                Figure(
                    "gradient-depth-profile",
                    "Norm of the gradient at each layer, relative to the last layer. Read from right to left, as "
                    "backpropagation goes: up means exploding, down vanishing.",
                    lambda: _profile_chart(numbers),
                ),
                CaptionedTable(
                    "gradient-depth",
                    "log10 of the gradient's norm at the first layer over that at the last, by depth. 3 means a "
                    "thousand times as large.",
                    _depth_table(numbers),
                ),
            ),
        ),
        Section(
            "gradient-growth",
            "The growth per layer against theory",
            (
                Text(
                    f"Mean-field theory ({SOURCE}) proves that in networks with BatchNorm the squared norm of the "
                    "gradient is multiplied by a constant in every layer: for linear networks (B − 2)/(B − 3) with a "
                    "batch of B, for ReLU π/(π − 1) ≈ 1.467 when the batch is large. The same reasoning gives a value "
                    "for every activation, both places of BatchNorm and each batch size; it is derived in the source "
                    "of this measurement (depth_theory.py). Measured: a line fitted to the logarithm, in networks of "
                    f"{numbers['factor_depth']} layers of {numbers['factor_width']} units, 95 % bootstrap interval "
                    "over seeds. Theory is for infinite width."
                ),
                *(Finding(_growth_finding(entry)) for entry in largest),
                Figure(
                    "gradient-growth",
                    "Growth of the squared gradient norm per layer: measured (marks, with intervals) and derived "
                    "(lines); dotted: the limit for large batches.",
                    lambda: _growth_chart(numbers),
                ),
                CaptionedTable(
                    "gradient-growth", "Growth per layer of the squared gradient norm with BatchNorm.", _table(fitted)
                ),
                Finding(_width_finding(numbers["by_width"])),
                CaptionedTable(
                    "gradient-growth-width",
                    "The same in Convention order, by width.",
                    _table(numbers["by_width"]),
                ),
                *(Finding(sentence) for sentence in _without_findings(numbers["without"])),
                CaptionedTable(
                    "gradient-growth-no-norm",
                    "The same without BatchNorm, with ReLU: derived is half the weights' variance times the fan-in.",
                    _table(numbers["without"]),
                ),
            ),
        ),
    ]


def first_over_last(profile: Numbers) -> float:
    """log10 of the gradient at the first layer over that at the last."""
    values: list[float] = profile["log10_norms"]
    return values[0] - values[-1]


def _depth_findings(numbers: Numbers) -> list[str]:
    deepest = max(profile["depth"] for profile in numbers["profiles"])
    at_depth = {
        (profile["activation"], profile["order"], profile["initialization"]): first_over_last(profile)
        for profile in numbers["profiles"]
        if profile["depth"] == deepest
    }
    sentences = []
    for activation in dict.fromkeys(profile["activation"] for profile in numbers["profiles"]):
        normalized = {order: value for (a, order, _), value in at_depth.items() if a == activation and order != WITHOUT}
        low, high = min(normalized, key=normalized.__getitem__), max(normalized, key=normalized.__getitem__)
        behaviour = _behaviour(normalized[low], normalized[high])
        bare = [
            f"{_times(value)} with {initialization}"
            for (a, order, initialization), value in at_depth.items()
            if a == activation and order == WITHOUT
        ]
        sentences.append(
            f"{NAMES[activation]}, {deepest} layers: with BatchNorm the gradient {behaviour}: at the first layer it is "
            f"{_times(normalized[low])} ({low}) to {_times(normalized[high])} ({high}) that of the last. Without "
            f"BatchNorm the ratio is {', '.join(bare)}."
        )
    return sentences


def _behaviour(lowest: float, highest: float) -> str:
    if lowest > 1.0:
        return "explodes in every order"
    if highest < -1.0:
        return "vanishes in every order"
    if lowest > -1.0 and highest < 1.0:
        return "keeps its size within a factor of ten in every order"
    return "depends on the order"


def _times(log10_ratio: float) -> str:
    """A ratio from its logarithm: `3.2` or `10^17.4`, and `times` behind it."""
    return f"{10**log10_ratio:.2g} times" if abs(log10_ratio) < 2 else f"10^{log10_ratio:.1f} times".replace("-", "−")


def _growth_finding(entry: Numbers) -> str:
    where = f"{NAMES[entry['activation']]}, {entry['order']}, B = {entry['batch_size']}"
    low, high = entry["interval"] or (entry["mean"], entry["mean"])
    inside = low <= entry["derived"] <= high
    apart = 100 * abs(entry["mean"] / entry["derived"] - 1)
    verdict = "inside the interval" if inside else f"outside the interval, but only {apart:.1f} % away"
    if not inside and apart >= 5:
        verdict = f"outside the interval and {apart:.0f} % away: theory and measurement disagree"
    grows = "grows" if low > 1 else "shrinks" if high < 1 else "neither grows nor shrinks for certain"
    return (
        f"{where}: the squared gradient {grows}, by {entry['mean']:.3f} per layer [{low:.3f}, {high:.3f}]; derived "
        f"{entry['derived']:.3f} ({verdict}), limit for large batches {entry['limit']:.3f}."
    )


def _width_finding(by_width: Sequence[Numbers]) -> str:
    parts = []
    for activation in dict.fromkeys(entry["activation"] for entry in by_width):
        entries = [entry for entry in by_width if entry["activation"] == activation]
        first, last = entries[0], entries[-1]
        parts.append(
            f"{NAMES[activation]} {_percent(first)} with {first['width']} units and {_percent(last)} with "
            f"{last['width']}"
        )
    return f"Distance from the theory of infinite width, Convention, by width: {'; '.join(parts)}."


def _percent(entry: Numbers) -> str:
    return f"{100 * (entry['mean'] / entry['derived'] - 1):+.1f} %".replace("-", "−")


def _without_findings(without: Sequence[Numbers]) -> list[str]:
    sentences = []
    for entry in without:
        what = "vanishes" if entry["mean"] < 0.9 else "explodes" if entry["mean"] > 1.1 else "keeps its size"
        sentences.append(
            f"Without BatchNorm and with {entry['initialization']} the gradient {what}: factor {entry['mean']:.3f} per "
            f"layer, derived {entry['derived']:.3f}."
        )
    return sentences


def _depth_table(numbers: Numbers) -> Table:
    depths = sorted({profile["depth"] for profile in numbers["profiles"]})
    rows: dict[tuple[str, str, str], dict[int, float]] = {}
    for profile in numbers["profiles"]:
        key = (profile["activation"], profile["order"], profile["initialization"])
        rows.setdefault(key, {})[profile["depth"]] = first_over_last(profile)
    heading = ("activation, order, initialisation", *(f"{depth} layers" for depth in depths))
    body = tuple(
        (", ".join(key), *(f"{values[depth]:+.1f}".replace("-", "−") for depth in depths))
        for key, values in rows.items()
    )
    return Table(heading, body, ())


def _table(entries: Sequence[Numbers]) -> Table:
    heading = ("activation, order, initialisation", "width", "B", "measured", "95 % interval", "derived", "difference")
    body = tuple(
        (
            ", ".join((entry["activation"], entry["order"], entry["initialization"])),
            str(entry["width"]),
            str(entry["batch_size"]),
            f"{entry['mean']:.4f}",
            "none" if entry["interval"] is None else f"[{entry['interval'][0]:.4f}, {entry['interval'][1]:.4f}]",
            f"{entry['derived']:.4f}",
            _percent(entry),
        )
        for entry in entries
    )
    return Table(heading, body, ())


#: What is drawn of all that is measured: the other orders repeat one of these with other ends.
DRAWN = ("convention", "swap", "preact", WITHOUT)


def _profile_chart(numbers: Numbers) -> Chart:
    activations = list(dict.fromkeys(profile["activation"] for profile in numbers["profiles"]))
    deepest = max(profile["depth"] for profile in numbers["profiles"])
    figure, axes = panels(len(activations), height=3.6)
    for panel, activation in zip(axes, activations, strict=True):
        profiles = [
            profile
            for profile in numbers["profiles"]
            if profile["activation"] == activation and profile["depth"] == deepest and profile["order"] in DRAWN
        ]
        for index, profile in enumerate(profiles):
            values = np.array(profile["log10_norms"]) - profile["log10_norms"][-1]
            name = profile["order"]
            label = name if name != WITHOUT else f"{name}, {profile['initialization']}"
            layers = np.arange(1, deepest + 1)
            panel.plot(layers, values, label=label, **look(index), markevery=max(1, deepest // 6), markersize=4)
        panel.axhline(0.0, color=FAINT, linewidth=0.8)
        panel.set_xlabel("layer")
        title(panel, NAMES[activation])
    axes[0].set_ylabel("log10 of the gradient, last layer = 0")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=3, labelcolor=INK)
    return Chart(figure)


def _growth_chart(numbers: Numbers) -> Chart:
    activations = list(dict.fromkeys(entry["activation"] for entry in numbers["factors"]))
    figure, axes = panels(len(activations), height=3.2)
    for panel, activation in zip(axes, activations, strict=True):
        entries = [entry for entry in numbers["factors"] if entry["activation"] == activation]
        for index, order in enumerate(dict.fromkeys(entry["order"] for entry in entries)):
            own = [entry for entry in entries if entry["order"] == order]
            sizes = [entry["batch_size"] for entry in own]
            means = [entry["mean"] for entry in own]
            intervals = [entry["interval"] or (entry["mean"], entry["mean"]) for entry in own]
            spread = [
                [max(0.0, mean - low) for mean, (low, _) in zip(means, intervals, strict=True)],
                [max(0.0, high - mean) for mean, (_, high) in zip(means, intervals, strict=True)],
            ]
            style = look(index)
            panel.errorbar(
                sizes, means, spread, color=style["color"], marker=style["marker"], linestyle="none", label=order
            )
            panel.plot(
                sizes,
                [entry["derived"] for entry in own],
                color=style["color"],
                linestyle=style["linestyle"],
                alpha=0.7,
            )
            panel.axhline(own[0]["limit"], color=colour(index), linestyle=":", linewidth=1)
        panel.set_xscale("log", base=2)
        panel.set_xticks(sizes, [str(size) for size in sizes])
        panel.minorticks_off()
        panel.set_xlabel("batch size B")
        title(panel, NAMES[activation])
        legend(panel, loc="upper right")
    axes[0].set_ylabel("growth per layer of the squared norm")
    return Chart(figure)


SMALL: Numbers = {
    "depths": [10, 20, 50, 100],
    "width": 128,
    "batch_size": 32,
    "orders": ["convention", "swap", "preact", "norm-weight-act", "act-norm-weight", "act-weight-norm"],
    "activations": ["relu", "tanh", "identity"],
    "initializations": ["default", "xavier_normal", "kaiming_normal"],
    "seeds": 2,
    "factors": {
        "depth": 24,
        "width": 512,
        "narrower": [64, 128, 256],
        "batch_sizes": [8, 16, 32, 128],
        "seeds": 6,
        "margin": 4,
    },
}
PAPER: Numbers = SMALL | {
    "width": 1024,
    "batch_size": 128,
    "seeds": 6,
    "factors": SMALL["factors"] | {"depth": 50, "width": 2048, "narrower": [128, 512], "seeds": 10, "margin": 10},
}


def gradient_depth(size: str) -> Measurement:
    """The measurement, at one of an experiment's sizes."""
    parameters = SMALL if size == "small" else PAPER
    return Measurement(
        name="gradient-depth",
        measure=measure,
        present=present,
        parameters=parameters,
        heading="Gradients in deep networks",
    )
