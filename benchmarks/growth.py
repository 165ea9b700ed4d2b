"""How the time of a training step grows with the batch, the depth, the width and the images: figures and plots."""

from __future__ import annotations

import math
from pathlib import Path

from tinygrad_bn.files import atomic_writer

from .tables import Outcomes, comparable, markdown, significant

Curves = dict[int, Outcomes]
"""What everybody did, by the value of what grows."""

AXES = {
    "batch": "images in a batch (ResNet20, 32x32)",
    "depth": "residual blocks (8 channels, 8x8, batch 8)",
    "width": "channels of the first block (SmallCNN, 28x28, batch 64)",
    "side": "side of the images in pixels (SmallCNN, batch 64)",
}


def growth_table(what: str, curves: Curves, contestants: list[str]) -> str:
    """Return the medians in milliseconds, value by value, and how ours grows from value to value."""
    rows = []
    last: tuple[int, float] | None = None
    for value, outcomes in curves.items():
        medians = comparable(outcomes)
        exponent = "-"
        ours = medians.get("ours")
        if ours is not None:
            if last is not None:
                exponent = f"{math.log(ours / last[1]) / math.log(value / last[0]):.2f}"
            last = value, ours
        cells = [significant(medians[name] * 1e3) if name in medians else "-" for name in contestants]
        rows.append([str(value), *cells, exponent])
    return markdown([f"ms by {what}", *contestants, "our exponent"], rows)


def plot_growth(path: Path, what: str, curves: Curves, contestants: list[str]) -> None:
    """Draw everybody's time over what grows, both axes logarithmic, into an SVG file."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "tinygrad_bn"  # the same figures give the same file
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, marker in zip(contestants, "osd^v", strict=False):
        points = [(value, comparable(outcomes).get(name)) for value, outcomes in curves.items()]
        drawn = [(value, median * 1e3) for value, median in points if median is not None]
        if drawn:
            axes.loglog(*zip(*drawn, strict=True), marker=marker, label=name)
    axes.set_xlabel(AXES[what])
    axes.set_ylabel("ms per training step")
    axes.set_xticks(list(curves), [str(value) for value in curves])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    with atomic_writer(path) as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
