"""What a reader sees of the gradients in deep networks: findings, charts and tables, made from the numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import FAINT, INK, Chart, colour, legend, look, panels, title
from ..tables import Table

Numbers = dict[str, Any]

WITHOUT = "no-norm"
NAMES = {"relu": "ReLU", "tanh": "tanh", "identity": "linear (no activation)"}
SOURCE = (
    "G. Yang, J. Pennington, V. Rao, J. Sohl-Dickstein, S. Schoenholz: A Mean Field Theory of Batch Normalization, "
    "ICLR 2019, https://arxiv.org/abs/1902.08129"
)


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
