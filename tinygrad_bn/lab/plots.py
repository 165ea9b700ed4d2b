"""The figures of a comparison, drawn with Matplotlib as SVG text.

Orders are told apart by colour (Okabe & Ito 2008, safe for colour-blind readers), by line style and by marker.
Ink is drawn in `INK` and the orders in `ORDER_COLOURS`, so that a page can replace these with its own colours.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import missing_dependency
from .comparison import Comparison, RunRecord
from .probes import ACTIVATION_OUTPUT, LayerProbe, layers_of, on_one_range

INK = "#333334"
FAINT = "#9a9a9b"
#: The low end of the colour map cividis.
DARKEST = "#00224e"
ORDER_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
#: Layers beyond this many are thinned out evenly in the histogram figures.
MOST_LAYERS_SHOWN = 8
#: Where the logarithmic axis of a histogram ends.
SMALLEST_SHARE = 1e-5


def difference_figure(comparison: Comparison) -> str:
    """Paired differences: every seed as a dot, the mean and its interval above zero or not."""
    rows = [
        (activation, pair)
        for activation in comparison.config.activations
        for pair in comparison.pairs(activation)
        if pair.pairs
    ]
    figure, (axes,) = _figure(1, width=7.4, height=0.75 + 0.62 * max(1, len(rows)))
    several = len(comparison.config.orders) > 2
    for height, (_, pair) in enumerate(reversed(rows)):
        colour = _colour(comparison, pair.second)
        spread = np.linspace(-0.16, 0.16, pair.pairs) if pair.pairs > 1 else np.zeros(1)
        axes.plot(pair.differences, height + spread, "o", color=colour, alpha=0.55, markersize=5, markeredgewidth=0)
        if pair.interval is not None:
            axes.plot(pair.interval, (height, height), "-", color=INK, linewidth=2.2, solid_capstyle="butt")
        axes.plot(pair.mean_difference, height, "D", color=INK, markersize=7)
    axes.axvline(0.0, color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)))
    names = [f"{activation}, {pair.second}" if several else activation for activation, pair in reversed(rows)]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    first = comparison.config.orders[0]
    second = "other" if several else comparison.config.orders[1] if len(comparison.config.orders) > 1 else first
    axes.set_xlabel(f"test accuracy, {second} − {first} (percentage points)")
    axes.tick_params(axis="y", length=0)
    return _svg(figure)


def curves_figure(comparison: Comparison, activation: str) -> str:
    """Test accuracy and training loss by epoch: every seed as a thin line, their mean as a thick one."""
    figure, axes = _figure(2, width=8.4, height=3.0)
    panels = (("test_accuracy", "test accuracy (%)"), ("train_loss", "training loss"))
    for panel, (quantity, title) in zip(axes, panels, strict=True):
        for index, order in enumerate(comparison.config.orders):
            records = comparison.of(activation, order)
            curves = [_curve(record, quantity) for record in records]
            for curve in curves:
                panel.plot(range(1, len(curve) + 1), curve, color=_order_colour(index), alpha=0.28, linewidth=0.9)
            if curves:
                mean = _mean_curve(curves)
                panel.plot(range(1, len(mean) + 1), mean, label=order, linewidth=2.2, **_look(index), markersize=4)
        panel.set_xlabel("epoch")
        panel.set_title(title, loc="left", fontsize=10, color=INK)
        epochs = comparison.config.epochs
        panel.set_xticks(range(1, epochs + 1, -(-epochs // 10)))
    _legend(axes[0], loc="lower right")
    return _svg(figure)


def mechanism_figure(comparison: Comparison, activation: str) -> str:
    """Saturation, asymmetry, sparsity and exact zeros by layer: the mean over seeds, and every seed as a dot."""
    quantities = (
        ("saturation", "saturation"),
        ("skewness", "mean |skewness|"),
        ("sparsity", "sparsity of the block"),
        ("zero_fraction", "exact zeros of the block"),
    )
    figure, axes = _figure(4, width=8.4, height=2.7)
    for panel, (quantity, title) in zip(axes, quantities, strict=True):
        layers = 0
        for index, order in enumerate(comparison.config.orders):
            values = np.array(
                [
                    [_number(layer[quantity]) for layer in record.result["layers"]]
                    for record in comparison.of(activation, order)
                ]
            )
            if not values.size:
                continue
            layers = values.shape[1]
            positions = np.arange(1, layers + 1) + 0.08 * (index - (len(comparison.config.orders) - 1) / 2)
            for run in values:
                panel.plot(
                    positions,
                    run,
                    "o",
                    color=_order_colour(index),
                    alpha=0.35,
                    markersize=3,
                    markeredgewidth=0,
                )
            panel.plot(positions, values.mean(axis=0), label=order, linewidth=1.8, **_look(index), markersize=4.5)
        panel.set_title(title, loc="left", fontsize=9.5, color=INK)
        panel.set_xlabel("layer")
        panel.set_xticks(range(1, layers + 1) if layers <= 12 else range(1, layers + 1, 3))
        panel.set_ylim(bottom=0.0, top=None if quantity == "skewness" else 1.0)
    _legend(axes[0], loc="best")
    return _svg(figure)


def layer_histogram_figure(comparison: Comparison, activation: str) -> str:
    """Distribution of each layer's activation output over the test set, orders on top of each other, one seed."""
    shown = _one_seed(comparison, activation)
    columns = len(shown) if len(shown) <= 5 else 4
    rows = -(-len(shown) // columns)
    highest = 0.0
    figure, axes = _figure(columns, rows=rows, width=8.4, height=0.6 + 1.9 * rows)
    for panel, (layer, probes) in zip(axes, shown.items(), strict=False):
        for order, probe in probes.items():
            index = comparison.config.orders.index(order)
            counts = probe.counts.sum(axis=0)
            shares = counts / max(1, counts.sum())
            highest = max(highest, shares.max())
            look = {"color": _order_colour(index), "linestyle": _line(index), "linewidth": 1.3}
            panel.stairs(shares, probe.edges, fill=True, color=_order_colour(index), alpha=0.14)
            panel.stairs(shares, probe.edges, label=order, **look)
        panel.set_title(f"layer {layer + 1}", loc="left", fontsize=9.5, color=INK)
        panel.set_yscale("log")
        panel.set_xlim(*_range(probes.values()))
        panel.tick_params(axis="y", labelsize=7.5)
        panel.tick_params(axis="y", which="both", labelleft=panel.get_subplotspec().is_first_col())
    for panel in axes:
        panel.set_ylim(SMALLEST_SHARE, 1.5 * highest)
    for panel in axes[len(shown) :]:
        panel.set_visible(False)
    axes[0].set_ylabel("share of values per bin")
    _legend(axes[0], loc="best")
    return _svg(figure)


def channel_histogram_figure(comparison: Comparison, activation: str) -> str:
    """Distribution of each channel's activation output: a row of the picture is a channel, sorted by its mean."""
    shown = _one_seed(comparison, activation)
    orders = list(next(iter(shown.values())))
    figure, axes = _figure(len(shown), rows=len(orders), width=8.4, height=0.5 + 2.0 * len(orders))
    brightest = max(_shares(probe).max(initial=0.0) for probes in shown.values() for probe in probes.values())
    panels = iter(axes)
    for order in orders:
        for layer, probes in shown.items():
            panel = next(panels)
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
                vmax=np.sqrt(brightest),
            )
            panel.set_xlim(*_range(probes.values()))
            panel.patch.set(facecolor=DARKEST, alpha=1.0)
            panel.spines[:].set_visible(False)
            panel.tick_params(labelsize=7.5)
            panel.set_yticks([1, shares.shape[0]])
            if order == orders[0]:
                panel.set_title(f"layer {layer + 1}", loc="left", fontsize=9.5, color=INK)
            if panel.get_subplotspec().is_first_col():
                panel.set_ylabel(f"{order}\nchannel")
    return _svg(figure)


def draw_figures(comparison: Comparison) -> dict[str, str]:
    """Every figure that the finished runs allow, as SVG text by name: "difference", "curves-tanh", ..."""
    per_activation = {
        "curves": curves_figure,
        "mechanism": mechanism_figure,
        "layers": layer_histogram_figure,
        "channels": channel_histogram_figure,
    }
    figures = {}
    if any(pair.pairs for activation in comparison.config.activations for pair in comparison.pairs(activation)):
        figures["difference"] = difference_figure(comparison)
    for activation in comparison.config.activations:
        if any(comparison.of(activation, order) for order in comparison.config.orders):
            for name, draw in per_activation.items():
                figures[f"{name}-{activation}"] = draw(comparison, activation)
    return figures


def _figure(columns: int, *, rows: int = 1, width: float, height: float) -> tuple[Any, list[Any]]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_dependency("plots", "matplotlib", "lab") from error
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    figure.patch.set_alpha(0.0)
    for panel in axes:
        panel.patch.set_alpha(0.0)
    return figure, axes


STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.fonttype": "none",
}


def _svg(figure: Any) -> str:
    import matplotlib

    # With a salt of its own Matplotlib writes the same bytes for the same figure.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "tinygrad_bn"}):
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _colour(comparison: Comparison, order: str) -> str:
    return _order_colour(comparison.config.orders.index(order))


def _order_colour(index: int) -> str:
    return ORDER_COLOURS[index % len(ORDER_COLOURS)]


def _line(index: int) -> Any:
    return LINE_STYLES[index % len(LINE_STYLES)]


def _look(index: int) -> dict[str, Any]:
    return {"color": _order_colour(index), "linestyle": _line(index), "marker": MARKERS[index % len(MARKERS)]}


def _legend(panel: Any, loc: str) -> None:
    if panel.get_legend_handles_labels()[0]:
        panel.legend(frameon=False, fontsize=9, loc=loc, labelcolor=INK)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _curve(record: RunRecord, quantity: str) -> list[float]:
    return [_number(line[quantity]) for line in record.metrics]


def _mean_curve(curves: Sequence[Sequence[float]]) -> np.ndarray[Any, Any]:
    # A run that diverged is shorter than the others; the mean goes as far as all of them.
    length = min(len(curve) for curve in curves)
    mean: np.ndarray[Any, Any] = np.mean([curve[:length] for curve in curves], axis=0)
    return mean


def _one_seed(comparison: Comparison, activation: str) -> dict[int, dict[str, LayerProbe]]:
    """For some layers, evenly spread: the probes of each order for the first seed that every order has."""
    records = {order: comparison.of(activation, order) for order in comparison.config.orders}
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


def _range(probes: Iterable[LayerProbe]) -> tuple[float, float]:
    """The range of the bins that are not empty, over several orders: they share an axis."""
    low, high = [], []
    for probe in probes:
        used = np.flatnonzero(probe.counts.sum(axis=0))
        if used.size:
            low.append(float(probe.edges[used[0]]))
            high.append(float(probe.edges[used[-1] + 1]))
    return (min(low), max(high)) if low else (0.0, 1.0)
