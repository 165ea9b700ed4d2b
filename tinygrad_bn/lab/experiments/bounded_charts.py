"""The figures of Kim, Kim & Kim (2023), drawn from our runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import quantities
from ..comparison import Comparison, RunRecord
from ..config import Condition
from ..figures import INK, MARKERS, Chart, colour, legend, look, panels, title
from ..probes import ACTIVATION_OUTPUT, BLOCK_OUTPUT, LayerProbe, layers_of, on_one_range

#: Channels shown next to each other, as in the paper's first figure, and in its figure of a block.
CONSECUTIVE, CHOSEN = 10, 3
#: Bars of one histogram in a small panel.
MOST_BINS = 64


def first_runs(comparison: Comparison, condition: Condition, orders: Sequence[str]) -> dict[str, RunRecord]:
    """For each order its run with the smallest seed that all of them have; empty where there is none."""
    found = {order: {record.config.seed: record for record in comparison.of(condition, order)} for order in orders}
    seeds = set.intersection(*(set(records) for records in found.values()))
    return {order: records[min(seeds)] for order, records in found.items()} if seeds else {}


def deep_layer(record: RunRecord, share: float) -> int:
    """The number of the layer at this share of the depth, counted from 0; the paper looks at the 8th of 13."""
    return min(len(record.result["layers"]) - 1, round(share * len(record.result["layers"])) - 1)


def channels_chart(comparison: Comparison, condition: Condition, orders: Sequence[str], share: float) -> Chart:
    """A deep layer as a whole, and ten consecutive channels of it: a row per order."""
    runs = first_runs(comparison, condition, orders)
    chosen = {order: layers_of(run.probes, ACTIVATION_OUTPUT)[deep_layer(run, share)] for order, run in runs.items()}
    shown = min(CONSECUTIVE, *(len(probe.count) for probe in chosen.values()))
    start = (min(len(probe.count) for probe in chosen.values()) - shown) // 2
    figure, axes = panels(1 + shown, rows=len(chosen), width=9.4, height=0.5 + 1.55 * len(chosen))
    remaining = iter(axes)
    for order, probe in zip(chosen, on_one_range(list(chosen.values())), strict=True):
        own = colour(comparison.orders.index(order))
        for number in range(-1, shown):
            panel = next(remaining)
            counts = probe.counts.sum(axis=0) if number < 0 else probe.counts[start + number]
            _bars(panel, counts, probe.edges, own)
            heading = "whole layer" if number < 0 else f"channel {start + number + 1}"
            panel.set_title(heading, loc="left", fontsize=7, color=INK)
            panel.set_xticks(
                [probe.edges[0], 0.0, probe.edges[-1]], [f"{probe.edges[0]:g}", "0", f"{probe.edges[-1]:g}"]
            )
            if number < 0:
                panel.set_ylabel(order)
    return Chart(figure)


def block_chart(comparison: Comparison, condition: Condition, orders: Sequence[str], share: float) -> Chart:
    """What a block gives to the next one, for three of its channels: a row per order."""
    runs = first_runs(comparison, condition, orders)
    chosen = {order: layers_of(run.probes, BLOCK_OUTPUT)[deep_layer(run, share)] for order, run in runs.items()}
    count = min(len(probe.count) for probe in chosen.values())
    channels = sorted({round(place) for place in np.linspace(0, count - 1, min(CHOSEN, count))})
    low, high = _used(list(chosen.values()))
    figure, axes = panels(len(channels), rows=len(chosen), width=8.0, height=0.5 + 1.5 * len(chosen))
    remaining = iter(axes)
    for order, probe in zip(chosen, on_one_range(list(chosen.values())), strict=True):
        for channel in channels:
            panel = next(remaining)
            _bars(panel, probe.counts[channel], probe.edges, colour(comparison.orders.index(order)))
            panel.set_xlim(low, high)
            panel.axvline(0.0, color=INK, linewidth=0.6)
            panel.set_title(f"channel {channel + 1}", loc="left", fontsize=8, color=INK)
            if channel == channels[0]:
                panel.set_ylabel(order)
    return Chart(figure)


def _bars(panel: Any, counts: Any, edges: Any, own: str) -> None:
    used = np.flatnonzero(counts)
    while used.size and used[-1] - used[0] >= MOST_BINS:  # a growing histogram has more bins than one can see
        counts, edges = counts[::2] + counts[1::2], edges[::2]
        used = np.flatnonzero(counts)
    panel.stairs(counts / max(1, counts.sum()), edges, fill=True, color=own, alpha=0.8)
    panel.set_yticks([])
    panel.tick_params(axis="x", labelsize=6)
    panel.spines["left"].set_visible(False)


def _used(probes: Sequence[LayerProbe]) -> tuple[float, float]:
    return min(float(probe.minimum.min()) for probe in probes), max(float(probe.maximum.max()) for probe in probes)


def by_layer_chart(comparison: Comparison) -> Chart:
    """Saturation and mean |skewness| by layer: a column per condition, the mean over seeds, every seed as a dot."""
    shown = (("saturation", "saturation"), ("skewness", "mean |skewness|"))
    columns = len(comparison.conditions)
    figure, axes = panels(columns, rows=2, width=max(5.0, 2.9 * columns), height=5.0)
    remaining = iter(axes)
    for key, heading in shown:
        for condition in comparison.conditions:
            panel = next(remaining)
            for index, order in enumerate(comparison.orders):
                values = np.array(
                    [
                        [np.nan if layer[key] is None else layer[key] for layer in record.result["layers"]]
                        for record in comparison.of(condition, order)
                    ]
                )
                if not values.size:
                    continue
                layers = np.arange(1, values.shape[1] + 1)
                for run in values:
                    panel.plot(layers, run, "o", color=colour(index), alpha=0.3, markersize=2.5, markeredgewidth=0)
                panel.plot(layers, values.mean(axis=0), label=order, linewidth=1.7, markersize=4, **look(index))
            panel.set_ylim(bottom=0.0, top=1.0 if key == "saturation" else None)
            title(panel, condition.label)
            panel.set_xlabel("layer")
            if panel.get_subplotspec().is_first_col():
                panel.set_ylabel(heading)
    legend(axes[0])
    return Chart(figure)


def scatter_chart(comparison: Comparison, across: quantities.Quantity) -> Chart:
    """Accuracy of every run against another quantity: a panel per condition, a colour per order."""
    columns = len(comparison.conditions)
    figure, axes = panels(columns, width=max(4.5, 2.9 * columns), height=3.0)
    for panel, condition in zip(axes, comparison.conditions, strict=True):
        for index, order in enumerate(comparison.orders):
            xs, ys = comparison.values(condition, order, across), comparison.accuracies(condition, order)
            seeds = sorted(xs.keys() & ys.keys())
            panel.scatter(
                [xs[seed] for seed in seeds],
                [ys[seed] for seed in seeds],
                label=order,
                color=colour(index),
                marker=MARKERS[index % len(MARKERS)],
                s=28,
                alpha=0.75,
                linewidths=0,
            )
        title(panel, condition.label)
        panel.set_xlabel(across.title)
    axes[0].set_ylabel("test accuracy (%)")
    legend(axes[0])
    return Chart(figure)


def decay_chart(comparison: Comparison, setting: str, across: Sequence[quantities.Quantity]) -> Chart:
    """Quantities against a weight decay: the values side by side, because 0 has no place on a logarithmic axis."""
    figure, axes = panels(len(across), width=8.6, height=2.9)
    (order,) = comparison.orders
    for series, (panel, quantity) in enumerate(zip(axes, across, strict=True)):
        found = [list(comparison.values(condition, order, quantity).values()) for condition in comparison.conditions]
        for place, values in enumerate(found):
            panel.plot(
                [place] * len(values), values, "o", color=colour(series), alpha=0.4, markersize=4, markeredgewidth=0
            )
        means = [np.mean(values) if values else np.nan for values in found]
        panel.plot(range(len(found)), means, linewidth=1.8, markersize=5, **look(series))
        labels = [f"{condition.settings[setting]:g}" for condition in comparison.conditions]
        panel.set_xticks(range(len(found)), labels)
        panel.set_xlabel(setting.replace("_", " "))
        title(panel, quantity.title)
    return Chart(figure)
