"""What the probes saw during the training: steps, loss landscape, and how far running statistics lag behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from . import quantities
from .comparison import Comparison, RunRecord
from .config import Condition
from .document import CaptionedTable, Figure, Section, Text
from .figures import FAINT, Chart, colour, legend, logarithmic, look, panels, title
from .plots import MOST_CONDITIONS_IN_DETAIL
from .statistics import interval_text, signed
from .tables import Table

Array = np.ndarray[Any, np.dtype[Any]]

STEP_QUANTITIES = (
    ("weight/gradient_norm", "gradient norm", "log"),
    ("weight/update_ratio", "update / weight", "log"),
    ("weight/effective_learning_rate", "effective learning rate", "log"),
    ("norm/gamma_mean", "mean gamma", "linear"),
    ("norm/beta_mean", "mean beta", "linear"),
)


def training_sections(comparison: Comparison) -> list[Section]:
    """The sections for which there are numbers: steps and landscape where they were asked for, running statistics."""
    found = (_steps(comparison), _landscape(comparison), _running(comparison))
    return [section for section in found if section is not None]


def _steps(comparison: Comparison) -> Section | None:
    if not comparison.config.step_probes:
        return None
    parts: list[Text | CaptionedTable | Figure] = [
        Text(
            "Thin lines are layers, from light (near the input) to dark (near the output), the thick line their "
            "median; all are means over the seeds. The gradient is the loss's own, without weight decay. Update / "
            "weight is the length of a step over the length of the weight it changes. The effective learning rate, "
            "lr / ||w||², means something only where the weight is scale-invariant, so that its length changes the "
            "step and not the function; layers where it is not are left out, and the table says why."
        )
    ]
    for condition in _shown(comparison):
        caption = f"{condition.label}: what the steps do, by step of the training."
        parts.append(Figure(f"steps-{condition.key}", caption, partial(steps_chart, comparison, condition)))
    parts.append(
        CaptionedTable(
            "scale-invariance",
            "Where the effective learning rate has a meaning: is the weight scale-invariant, and why.",
            _invariance_table(comparison),
        )
    )
    return Section("steps", "Gradients and weights, step by step", tuple(parts))


def steps_chart(comparison: Comparison, condition: Condition) -> Chart:
    """Every quantity of `STEP_QUANTITIES` by step: a row of panels per order, a line per layer."""
    orders = [order for order in comparison.orders if comparison.of(condition, order)]
    figure, axes = panels(len(STEP_QUANTITIES), rows=max(1, len(orders)), width=9.2, height=0.4 + 1.75 * len(orders))
    remaining = iter(axes)
    for order in orders:
        index = comparison.orders.index(order)
        recorded = [record.folder.steps() for record in comparison.of(condition, order)]
        for key, heading, scale in STEP_QUANTITIES:
            panel = next(remaining)
            steps, values = _mean_over_seeds(recorded, key)
            seen = ~np.isnan(values).all(axis=0) if values.size else np.zeros(0, dtype=bool)
            shades = np.linspace(0.25, 0.8, int(seen.sum()))
            for shade, layer in zip(shades, values.T[seen], strict=True):
                panel.plot(steps, layer, color=colour(index), alpha=float(shade), linewidth=0.7)
            if seen.any():
                known = ~np.isnan(values[:, seen]).all(axis=1)  # a gradient that has overflowed has no length
                medians = np.nanmedian(values[known][:, seen], axis=1)
                panel.plot(np.asarray(steps)[known], medians, color=colour(index), linewidth=2.0)
                panel.set_yscale(scale)
            else:
                panel.text(0.5, 0.5, "none", transform=panel.transAxes, ha="center", color=FAINT)
                panel.set(xticks=[], yticks=[])
            panel.tick_params(labelsize=7)
            if order == orders[0]:
                title(panel, heading)
            if panel.get_subplotspec().is_first_col():
                panel.set_ylabel(order)
            if order == orders[-1]:
                panel.set_xlabel("step")
    _share_range(axes, len(STEP_QUANTITIES))
    for panel in axes:
        if panel.lines and panel.get_yscale() == "log":
            logarithmic(panel)
    return Chart(figure)


def _share_range(axes: Sequence[Any], columns: int) -> None:
    """Give the panels of a column one range, so that orders can be compared; panels without lines take no part."""
    for column in range(columns):
        drawn = [panel for panel in axes[column::columns] if panel.lines]
        if drawn:
            low = min(panel.get_ylim()[0] for panel in drawn)
            high = max(panel.get_ylim()[1] for panel in drawn)
            for panel in drawn:
                panel.set_ylim(low, high)


def _invariance_table(comparison: Comparison) -> Table:
    rows: dict[tuple[str, ...], None] = {}
    for condition in _shown(comparison):
        for order in comparison.orders:
            for record in comparison.of(condition, order)[:1]:
                found = record.folder.steps()
                names, reasons = found["weight/names"].tolist(), found["weight/reasons"].tolist()
                invariant = found["weight/scale_invariant"].tolist()
                by_reason: dict[tuple[bool, str], list[str]] = {}
                for name, reason, yes in zip(names, reasons, invariant, strict=True):
                    by_reason.setdefault((yes, reason), []).append(name)
                for (yes, reason), layers in by_reason.items():
                    word = f"{'yes' if yes else 'no'}: {reason}"
                    rows[(f"{condition.activation}, {order}", ", ".join(layers), word)] = None
    return Table(("", "layers", "scale-invariant"), tuple(rows), ())


def _landscape(comparison: Comparison) -> Section | None:
    if not comparison.config.landscape:
        return None
    parts: list[Text | CaptionedTable | Figure] = [
        Text(
            "After Santurkar, Tsipras, Ilyas and Madry, How Does Batch Normalization Help Optimization? (2018): at "
            "some steps of the training, the loss of the step's own batch is looked at along the gradient, for steps "
            "of 1/2 to 4 times the learning rate. The envelope is the range of these losses, gradient predictiveness "
            "the range of how far the gradient moves, effective β-smoothness the largest such move per length of "
            "step. The top eigenvalue of the Hessian is found from products with it (gradients of gradients). "
            "BatchNorm uses the batch's statistics throughout. Since the steps are multiples of the learning rate in "
            "force, envelope and β-smoothness can be compared between orders at the same place of the training, not "
            "between learning rates or places."
        )
    ]
    for condition in _shown(comparison):
        caption = (
            f"{condition.label}: loss landscape by step of the training; everything is a mean over the seeds. On the "
            "left the bands go from the lowest to the highest value, which the line follows."
        )
        parts.append(Figure(f"landscape-{condition.key}", caption, partial(landscape_chart, comparison, condition)))
    parts.append(
        CaptionedTable(
            "landscape", "Means over seeds and over the places measured in the training.", _landscape_table(comparison)
        )
    )
    return Section("landscape", "The loss landscape", tuple(parts))


def landscape_chart(comparison: Comparison, condition: Condition) -> Chart:
    """Envelope of the loss, gradient predictiveness, effective smoothness and top Hessian eigenvalue by step."""
    figure, axes = panels(4, width=9.2, height=2.8)
    for index, order in enumerate(comparison.orders):
        recorded = [record.folder.landscape() for record in comparison.of(condition, order)]
        if not recorded:
            continue
        shortest = min(map(len, recorded))
        steps = [entry["step"] for entry in recorded[0][:shortest]]
        for panel, key in zip(axes[:2], ("losses", "gradient_changes"), strict=True):
            low, high = (_over_runs(recorded, shortest, partial(_end_of, key, end)) for end in (np.min, np.max))
            panel.fill_between(steps, low, high, color=colour(index), alpha=0.22, linewidth=0)
            panel.plot(steps, high, label=order, linewidth=1.4, markersize=3.5, **look(index))
        for panel, read in zip(axes[2:], (smoothness_of, _eigenvalue), strict=True):
            values = _over_runs(recorded, shortest, read)
            panel.plot(steps, values, label=order, linewidth=1.6, markersize=3.5, **look(index))
    headings = ("loss along the step", "change of the gradient", "effective β-smoothness", "top Hessian eigenvalue")
    for panel, heading in zip(axes, headings, strict=True):
        title(panel, heading)
        panel.set_xlabel("step")
        # Losses lie close together; curvature may be negative, and then has no place on a logarithmic axis.
        if panel is not axes[0] and all((line.get_ydata() > 0.0).all() for line in panel.lines):
            logarithmic(panel)
    legend(axes[0])
    return Chart(figure)


def smoothness_of(entry: dict[str, Any]) -> float:
    """The effective beta-smoothness of one measurement; see `probes.Landscape.smoothness`."""
    if not entry["gradient_norm"]:
        return float("nan")
    steps = np.array(entry["step_sizes"], dtype=np.float64) * entry["gradient_norm"]
    return float(np.max(np.array(entry["gradient_changes"], dtype=np.float64) / steps))


def _eigenvalue(entry: dict[str, Any]) -> float:
    return float("nan") if entry["hessian"]["value"] is None else float(entry["hessian"]["value"])


def _end_of(key: str, end: Callable[[Array], Any], entry: dict[str, Any]) -> float:
    return float(end(np.array(entry[key], dtype=np.float64)))


def _over_runs(
    recorded: list[list[dict[str, Any]]], count: int, read: Callable[[dict[str, Any]], float]
) -> np.ndarray[Any, np.dtype[Any]]:
    """The mean over runs of a number at each place of the training."""
    values: Array = np.array([[read(entry) for entry in run[:count]] for run in recorded], dtype=np.float64)
    mean: Array = values.mean(axis=0)
    return mean


def _landscape_table(comparison: Comparison) -> Table:
    rows = []
    for condition in comparison.conditions:
        for order in comparison.orders:
            entries = [entry for record in comparison.of(condition, order) for entry in record.folder.landscape()]
            if entries:
                widths = [_end_of("losses", np.max, e) - _end_of("losses", np.min, e) for e in entries]
                changes = [_end_of("gradient_changes", np.max, e) for e in entries]
                numbers = (widths, changes, [smoothness_of(e) for e in entries], [_eigenvalue(e) for e in entries])
                rows.append((f"{condition.label}, {order}", *(f"{np.mean(column):.3g}" for column in numbers)))
    heading = ("", "width of the envelope", "largest change of gradient", "β-smoothness", "Hessian eigenvalue")
    return Table(heading, tuple(rows), ())


def _running(comparison: Comparison) -> Section | None:
    """How accuracy changes when BatchNorm's running averages are replaced by statistics estimated anew."""
    rows = []
    for condition in comparison.conditions:
        for order in comparison.orders:
            running = comparison.values(condition, order)
            precise = comparison.values(condition, order, quantities.PRECISE_ACCURACY)
            if not precise:
                continue
            means = [quantities.mean([values[seed] for seed in precise]) for values in (running, precise)]
            found = [d for record in comparison.of(condition, order) for d in _distances(record)]
            distances = [f"{np.mean([d[key] for d in found]):.3f}" if found else "n/a" for key in ("mean", "variance")]
            name = f"{condition.label}, {order}"
            rows.append((name, *(f"{mean:.2f}" for mean in means), signed(means[1] - means[0]), *distances))
    if not rows:
        return None
    heading = ("", "running", "precise", "precise − running", "distance of means", "distance of variances")
    text = Text(
        "BatchNorm evaluates with running averages of what it saw in training, which lag behind the weights. Here the "
        "statistics are estimated anew after the training, with fixed weights, over up to 4,096 training images, and "
        "the network is evaluated again. Distance of means: |running − precise| in standard deviations; of variances: "
        "|log(running / precise)|; both are means over channels, layers and seeds. The orders are compared with both."
    )
    both = Table(
        ("", "difference, running", "interval", "difference, precise", "interval"), tuple(_both(comparison)), ()
    )
    return Section(
        "running",
        "Running statistics and precise ones",
        (
            text,
            CaptionedTable("running-and-precise", "Mean test accuracy (%) with both.", Table(heading, tuple(rows), ())),
            CaptionedTable("differences-precise", "Paired differences between orders with both (points).", both),
        ),
    )


def _both(comparison: Comparison) -> list[tuple[str, ...]]:
    rows = []
    for condition in comparison.conditions:
        precise = comparison.pairs(condition, quantities.PRECISE_ACCURACY)
        for running, anew in zip(comparison.pairs(condition), precise, strict=True):
            if anew.pairs:
                cells = []
                for pair in (running, anew):
                    interval = interval_text(pair.interval) if pair.interval else "none"
                    cells += [signed(pair.mean_difference), interval]
                rows.append((f"{condition.label}, {running.second} − {running.first}", *cells))
    return rows


def _distances(record: RunRecord) -> list[dict[str, float]]:
    found = (record.result.get("running_distances") or {}).values()
    return [d for d in found if all(value is not None for value in d.values())]


def _shown(comparison: Comparison) -> list[Condition]:
    ended = [c for c in comparison.conditions if any(comparison.of(c, order) for order in comparison.orders)]
    return ended[:MOST_CONDITIONS_IN_DETAIL]


def _mean_over_seeds(recorded: list[dict[str, Array]], key: str) -> tuple[Array, Array]:
    """Steps, and the mean over runs of a quantity: (steps, layers); runs that diverged are shorter than the others."""
    shortest = min(len(arrays["step"]) for arrays in recorded)
    stacked: Array = np.stack([arrays[key][:shortest] for arrays in recorded])
    return recorded[0]["step"][:shortest], stacked.mean(axis=0)
