"""The charts of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from . import quantities
from .comparison import Comparison, RunRecord
from .config import Condition, shown
from .document import Figure
from .figures import FAINT, INK, Chart, colour, legend, line, look, panels, title
from .probes import ACTIVATION_OUTPUT, LayerProbe, layers_of, on_one_range

#: The low end of the colour map cividis.
DARKEST = "#00224e"
#: Layers beyond this many are thinned out evenly in the histogram figures.
MOST_LAYERS_SHOWN = 8
#: Where the logarithmic axis of a histogram ends.
SMALLEST_SHARE = 1e-5
#: With more conditions than this, only what compares them is drawn, not each of them in detail.
MOST_CONDITIONS_IN_DETAIL = 6
#: What is drawn against a varied setting.
AGAINST_SETTINGS = (quantities.ACCURACY, quantities.SATURATION, quantities.SKEWNESS, quantities.SPARSITY)


def difference_chart(comparison: Comparison) -> Chart:
    """Paired differences: every seed as a dot, the mean and its interval above zero or not."""
    rows = [
        (condition, pair) for condition in comparison.conditions for pair in comparison.pairs(condition) if pair.pairs
    ]
    row = 0.62 if len(rows) <= 8 else 0.42
    figure, (axes,) = panels(1, width=7.4, height=0.75 + row * max(1, len(rows)))
    several = len(comparison.orders) > 2
    for height, (_, pair) in enumerate(reversed(rows)):
        own = colour(comparison.orders.index(pair.second))
        # Below the mean and its interval, so that neither hides a seed.
        spread = np.linspace(-0.06, -0.3, pair.pairs) if pair.pairs > 1 else np.full(1, -0.18)
        axes.plot(pair.differences, height + spread, "o", color=own, alpha=0.7, markersize=4.5, markeredgewidth=0)
        above = height + 0.14
        if pair.interval is not None:
            axes.plot(pair.interval, (above, above), "-", color=INK, linewidth=2.0, solid_capstyle="butt")
        axes.plot(pair.mean_difference, above, "D", color=INK, markersize=6)
    axes.axvline(0.0, color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)))
    names = [f"{condition.label}, {pair.second}" if several else condition.label for condition, pair in reversed(rows)]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    first = comparison.orders[0]
    second = "other" if several else comparison.orders[1] if len(comparison.orders) > 1 else first
    axes.set_xlabel(f"test accuracy, {second} − {first} (percentage points)")
    axes.tick_params(axis="y", length=0)
    return Chart(figure)


def curves_chart(comparison: Comparison, condition: Condition) -> Chart:
    """Test accuracy and training loss by epoch: every seed as a thin line, their mean as a thick one."""
    figure, axes = panels(2, width=8.4, height=3.0)
    shown_quantities = (("test_accuracy", "test accuracy (%)"), ("train_loss", "training loss"))
    longest = 1
    for panel, (quantity, heading) in zip(axes, shown_quantities, strict=True):
        for index, order in enumerate(comparison.orders):
            records = comparison.of(condition, order)
            curves = [_curve(record, quantity) for record in records]
            for curve in curves:
                marker = "." if len(curve) == 1 else ""
                epochs = range(1, len(curve) + 1)
                panel.plot(epochs, curve, marker=marker, color=colour(index), alpha=0.28, linewidth=0.9)
            if curves:
                low, mean, high = _band(curves)
                epochs = range(1, len(mean) + 1)
                panel.fill_between(epochs, low, high, color=colour(index), alpha=0.13, linewidth=0)
                panel.plot(epochs, mean, label=order, linewidth=2.2, **look(index), markersize=4)
                longest = max(longest, *map(len, curves))
        panel.set_xlabel("epoch")
        title(panel, heading)
        panel.set_xticks(range(1, longest + 1, -(-longest // 10)))
    legend(axes[0], loc="lower right")
    return Chart(figure)


def mechanism_chart(comparison: Comparison, condition: Condition) -> Chart:
    """Saturation, asymmetry, sparsity and exact zeros by layer: the mean over seeds, and every seed as a dot."""
    shown_quantities = (
        ("saturation", "saturation"),
        ("skewness", "mean |skewness|"),
        ("sparsity", "sparsity of the block"),
        ("zero_fraction", "exact zeros of the block"),
    )
    figure, axes = panels(4, width=8.4, height=2.7)
    for panel, (quantity, heading) in zip(axes, shown_quantities, strict=True):
        layers = 0
        for index, order in enumerate(comparison.orders):
            values = np.array(
                [
                    [_number(layer[quantity]) for layer in record.result["layers"]]
                    for record in comparison.of(condition, order)
                ]
            )
            if not values.size:
                continue
            layers = values.shape[1]
            positions = np.arange(1, layers + 1) + 0.08 * (index - (len(comparison.orders) - 1) / 2)
            for run in values:
                panel.plot(
                    positions,
                    run,
                    "o",
                    color=colour(index),
                    alpha=0.35,
                    markersize=3,
                    markeredgewidth=0,
                )
            panel.plot(positions, values.mean(axis=0), label=order, linewidth=1.8, **look(index), markersize=4.5)
        title(panel, heading)
        panel.set_xlabel("layer")
        panel.set_xticks(range(1, layers + 1) if layers <= 12 else range(1, layers + 1, 3))
        panel.set_ylim(bottom=0.0, top=None if quantity == "skewness" else 1.0)
    legend(axes[0], loc="best")
    return Chart(figure)


def layer_histogram_chart(comparison: Comparison, condition: Condition) -> Chart:
    """Distribution of each layer's activation output over the test set, orders on top of each other, one seed."""
    layers = _one_seed(comparison, condition)
    columns = len(layers) if len(layers) <= 5 else 4
    rows = -(-len(layers) // columns)
    highest = 0.0
    figure, axes = panels(columns, rows=rows, width=8.4, height=0.6 + 1.9 * rows)
    for panel, (layer, probes) in zip(axes, layers.items(), strict=False):
        for order, probe in probes.items():
            index = comparison.orders.index(order)
            counts = probe.counts.sum(axis=0)
            shares = counts / max(1, counts.sum())
            highest = max(highest, shares.max())
            look = {"color": colour(index), "linestyle": line(index), "linewidth": 1.3}
            if len(probes) <= 2:  # more of them would mix to a grey
                panel.stairs(shares, probe.edges, fill=True, color=colour(index), alpha=0.14)
            panel.stairs(shares, probe.edges, label=order, **look)
        title(panel, f"layer {layer + 1}")
        panel.set_yscale("log")
        panel.set_xlim(*_range(probes.values()))
        panel.tick_params(axis="y", labelsize=7.5)
        panel.tick_params(axis="y", which="both", labelleft=panel.get_subplotspec().is_first_col())
    for panel in axes:
        panel.set_ylim(SMALLEST_SHARE, 1.5 * highest)
    for panel in axes[len(layers) :]:
        panel.set_visible(False)
    axes[0].set_ylabel("share of values per bin")
    legend(axes[0], loc="best")
    return Chart(figure)


def channel_histogram_chart(comparison: Comparison, condition: Condition) -> Chart:
    """Distribution of each channel's activation output: a row of the picture is a channel, sorted by its mean."""
    layers = _one_seed(comparison, condition)
    orders = list(next(iter(layers.values())))
    figure, axes = panels(len(layers), rows=len(orders), width=8.4, height=0.5 + 2.0 * len(orders))
    brightest = {layer: _brightest(probes.values()) for layer, probes in layers.items()}
    remaining = iter(axes)
    for order in orders:
        for layer, probes in layers.items():
            panel = next(remaining)
            shares = _shares(probes[order])
            edges = probes[order].edges
            shares = shares[np.argsort(shares @ (edges[1:] + edges[:-1]), kind="stable")]
            # The square root lets thin tails be seen beside a full bin.
            panel.imshow(
                np.sqrt(shares),
                aspect="auto",
                origin="lower",
                interpolation="nearest",
                extent=(edges[0], edges[-1], 0.5, shares.shape[0] + 0.5),
                cmap="cividis",
                vmin=0.0,
                vmax=np.sqrt(brightest[layer]),
            )
            panel.set_xlim(*_range(probes.values()))
            panel.patch.set(facecolor=DARKEST, alpha=1.0)
            panel.spines[:].set_visible(False)
            panel.tick_params(labelsize=7.5)
            panel.set_yticks([1, shares.shape[0]])
            if order == orders[0]:
                title(panel, f"layer {layer + 1}")
            if panel.get_subplotspec().is_first_col():
                panel.set_ylabel(f"{order}\nchannel")
    return Chart(figure)


def figures_of(comparison: Comparison) -> list[Figure]:
    """Every figure that the finished runs allow."""
    config, found = comparison.config, []
    first = comparison.orders[0]
    if any(pair.pairs for condition in comparison.conditions for pair in comparison.pairs(condition)):
        caption = (
            "Paired differences in test accuracy. A dot is one seed, the diamond their mean, the bar the 95 % BCa "
            "bootstrap interval of the mean. Right of the dashed line the other order did better, left of it "
            f"{first} did."
        )
        found.append(Figure("difference", caption, partial(difference_chart, comparison)))
    for setting in config.vary:
        for number, group in enumerate(_along(comparison, setting)):
            caption = f"{_without(group[0], setting)}: what {setting} changes. Dots are single seeds, lines their mean."
            name = f"along-{setting}-{number}"
            found.append(Figure(name, caption, partial(along_chart, comparison, group, setting)))
    detailed = [c for c in comparison.conditions if any(comparison.of(c, order) for order in comparison.orders)]
    for condition in detailed[:MOST_CONDITIONS_IN_DETAIL]:
        found += _figures_of_condition(comparison, condition)
    return found


def _figures_of_condition(comparison: Comparison, condition: Condition) -> list[Figure]:
    label = condition.label
    charts = {
        "curves": (
            curves_chart,
            f"{label}: thin lines are single seeds, thick lines their mean, and the band spans the seeds. Training "
            "loss is the mean over an epoch's steps.",
        ),
        "mechanism": (
            mechanism_chart,
            f"{label}: layers from the input to the output; dots are single seeds, lines their mean.",
        ),
        "layers": (layer_histogram_chart, f"{label}: all values of a layer; share of values per bin, logarithmic."),
        "channels": (
            channel_histogram_chart,
            f"{label}: a row is a channel, channels sorted by their mean; brighter means more values (square root of "
            "the share; a layer has one scale for all orders, and its brightest hundredth is cut off).",
        ),
    }
    return [
        Figure(f"{kind}-{condition.key}", caption, partial(draw, comparison, condition))
        for kind, (draw, caption) in charts.items()
    ]


def along_chart(comparison: Comparison, group: Sequence[Condition], setting: str) -> Chart:
    """Accuracy and mechanism against the values of a varied setting.

    Args:
        group: conditions that differ in this setting alone.
        setting: its name.
    """
    values = [condition.settings[setting] for condition in group]
    numeric = all(isinstance(value, int | float) for value in values)
    # Zero has no place on a logarithmic axis, and words have none on any: then the values stand side by side.
    logarithmic = numeric and min(values) > 0.0 and max(values) / min(values) >= 10.0
    positions = values if numeric and (logarithmic or 0.0 not in values) else range(len(values))
    figure, axes = panels(len(AGAINST_SETTINGS), height=2.8)
    for panel, quantity in zip(axes, AGAINST_SETTINGS, strict=True):
        for index, order in enumerate(comparison.orders):
            by_value = [list(comparison.values(condition, order, quantity).values()) for condition in group]
            for position, found in zip(positions, by_value, strict=True):
                panel.plot([position] * len(found), found, "o", color=colour(index), alpha=0.3, markersize=3)
            means = [np.mean(found) if found else np.nan for found in by_value]
            panel.plot(positions, means, label=order, linewidth=1.8, markersize=4.5, **look(index))
        title(panel, quantity.title.replace(", mean over", ",\nmean over"))
        if logarithmic:
            panel.set_xscale("log")
        if positions is not values or logarithmic:
            panel.set_xticks(positions, [shown(value) for value in values], rotation=45 if len(values) > 4 else 0)
            panel.minorticks_off()
        panel.set_xlabel(setting)
    legend(axes[0])
    return Chart(figure)


def _along(comparison: Comparison, setting: str) -> list[list[Condition]]:
    """The conditions in groups that differ in one setting alone."""
    groups: dict[str, list[Condition]] = {}
    for condition in comparison.conditions:
        groups.setdefault(_without(condition, setting), []).append(condition)
    return list(groups.values())


def _without(condition: Condition, setting: str) -> str:
    others = {name: value for name, value in condition.settings.items() if name != setting}
    return Condition(condition.activation, others).label


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _curve(record: RunRecord, quantity: str) -> list[float]:
    return [_number(line[quantity]) for line in record.metrics]


def _band(curves: Sequence[Sequence[float]]) -> np.ndarray[Any, Any]:
    """The lowest, the mean and the highest of the curves at each epoch."""
    # A run that diverged is shorter than the others; the band goes as far as all of them.
    length = min(len(curve) for curve in curves)
    values = np.array([curve[:length] for curve in curves])
    return np.stack([values.min(axis=0), values.mean(axis=0), values.max(axis=0)])


def _one_seed(comparison: Comparison, condition: Condition) -> dict[int, dict[str, LayerProbe]]:
    """For some layers, evenly spread: the probes of each order for the first seed that every order has."""
    records = {order: comparison.of(condition, order) for order in comparison.orders}
    records = {order: found for order, found in records.items() if found}
    seeds = set.intersection(*({record.config.seed for record in found} for found in records.values()))
    chosen = [next(r for r in found if r.config.seed in seeds or not seeds) for found in records.values()]
    by_order = [layers_of(record.probes, ACTIVATION_OUTPUT) for record in chosen]
    count = min(map(len, by_order))
    numbers = sorted({round(place) for place in np.linspace(0, count - 1, min(count, MOST_LAYERS_SHOWN))})
    return {
        number: dict(zip(records, on_one_range([layers[number] for layers in by_order]), strict=True))
        for number in numbers
    }


def _shares(probe: LayerProbe) -> np.ndarray[Any, Any]:
    """Share of each channel's values in each bin."""
    shares: np.ndarray[Any, Any] = probe.counts / np.maximum(1, probe.counts.sum(axis=1, keepdims=True))
    return shares


def _brightest(probes: Iterable[LayerProbe]) -> float:
    """The share that only a hundredth of the bins exceed: a bin full of exact zeros would leave the others dark."""
    shares = np.concatenate([_shares(probe).ravel() for probe in probes])
    return float(np.quantile(shares[shares > 0.0], 0.99)) if shares.any() else 1.0


def _range(probes: Iterable[LayerProbe]) -> tuple[float, float]:
    """The range of the bins that are not empty, over several orders: they share an axis."""
    low, high = [], []
    for probe in probes:
        used = np.flatnonzero(probe.counts.sum(axis=0))
        if used.size:
            low.append(float(probe.edges[used[0]]))
            high.append(float(probe.edges[used[-1] + 1]))
    return (min(low), max(high)) if low else (0.0, 1.0)
