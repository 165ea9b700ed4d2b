"""What BatchNorm leaves of a value when the batch is small: sampled through the engine, and in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ... import functional as F
from ...creation import tensor
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import Chart, colour, legend, look, panels, title
from ..tables import Table
from .experiment import Measurement
from .moments import correlation, decimal

#: Batches whose histogram is drawn.
DRAWN = (2, 4, 8, 32)


def expected_correlation(batch_size: int) -> float:
    """Correlation of z ~ N(0, 1) with BatchNorm's output for it, in a batch of so many independent values.

    The output y has mean 0 and mean square 1 in every batch, and the mean of z y over a batch is the batch's own
    deviation s, so that the correlation is E s = sqrt(2/B) Gamma(B/2) / Gamma((B-1)/2).

    >>> math.isclose(expected_correlation(2), 1 / math.sqrt(math.pi))
    True
    """
    logarithm = math.lgamma(batch_size / 2) - math.lgamma((batch_size - 1) / 2)
    return math.sqrt(2.0 / batch_size) * math.exp(logarithm)


def measure_batches(*, seed: int, values: int, batch_sizes: list[int]) -> dict[str, Any]:
    """Send standard normal values through BatchNorm, in batches of every size.

    Returns:
        values; batches: for each size the largest output's bound sqrt(B - 1), the largest seen, the deviation of the
        outputs' magnitudes, the correlation with the input, derived and seen, and the shares of a histogram of the
        outputs; edges: of the histograms.
    """
    z = np.random.default_rng(seed).normal(size=values)
    edges = np.linspace(-4.0, 4.0, 81)
    batches = []
    for size in batch_sizes:
        columns = z[: values // size * size].reshape(size, -1)
        # Every column is a feature of its own, so one call normalises all batches. Without eps the bound is sharp.
        outputs = F.batch_norm(tensor(columns), None, None, training=True, eps=1e-12).numpy()
        batches.append(
            {
                "batch_size": size,
                "bound": math.sqrt(size - 1),
                "largest": float(np.abs(outputs).max()),
                "deviation_of_magnitude": float(np.abs(outputs).std()),
                "correlation_derived": expected_correlation(size),
                "correlation_seen": correlation(columns, outputs),
                "shares": (np.histogram(outputs, edges)[0] / outputs.size).tolist(),
            }
        )
    return {"values": values, "seed": seed, "edges": edges.tolist(), "batches": batches}


def present_batches(numbers: dict[str, Any]) -> Sequence[Section]:
    """Show that a batch of two keeps a sign, and how fast that becomes harmless."""
    rows = tuple(
        (
            str(batch["batch_size"]),
            decimal(batch["bound"], 3),
            decimal(batch["largest"], 3),
            decimal(batch["deviation_of_magnitude"], 3),
            decimal(batch["correlation_derived"]),
            decimal(batch["correlation_seen"]),
        )
        for batch in numbers["batches"]
    )
    smallest, largest = numbers["batches"][0], numbers["batches"][-1]
    sign_only = smallest["deviation_of_magnitude"] < 1e-3
    kept = (
        f"every output is {decimal(smallest['largest'], 2)} or {decimal(-smallest['largest'], 2)}: BatchNorm tells "
        "which of the two is larger and nothing else"
        if sign_only
        else f"magnitudes still differ (deviation {decimal(smallest['deviation_of_magnitude'], 3)})"
    )
    heading = ("batch size", "bound", "largest seen", "deviation of |output|", "correlation, derived", "seen")
    return (
        Section(
            "small-batches",
            "What a small batch leaves of a value",
            (
                Text(
                    f"{numbers['values']:,} values from N(0, 1) (seed {numbers['seed']}) in batches of independent "
                    "values, through this package's batch_norm with gamma 1 and beta 0. No output can be larger than "
                    "√(B − 1). The correlation of output and input, √(2/B) Γ(B/2) / Γ((B − 1)/2), says how much of "
                    "a value is left when the batch's own mean and deviation are taken out of it."
                ),
                CaptionedTable("small-batches", "By batch size.", Table(heading, rows, ())),
                Figure(
                    "small-batches",
                    "Left: BatchNorm's outputs for normal inputs, by batch size. Right: what is left of a value.",
                    partial(batch_chart, numbers),
                ),
                Finding(
                    f"In a batch of {smallest['batch_size']}, {kept}. The correlation with the value itself is "
                    f"{decimal(smallest['correlation_seen'], 3)}; with {largest['batch_size']} it is "
                    f"{decimal(largest['correlation_seen'], 3)}. This is a fully connected layer. In a convolution "
                    "every pixel counts, so that a batch of two images of 28 x 28 has 1,568 values per channel, "
                    "though neighbours resemble each other."
                ),
            ),
        ),
    )


def batch_chart(numbers: dict[str, Any]) -> Chart:
    """Histograms for some batch sizes, and the correlation against all of them."""
    figure, (left, right) = panels(2, width=8.6, height=3.0)
    drawn = [batch for batch in numbers["batches"] if batch["batch_size"] in DRAWN]
    for series, batch in enumerate(drawn):
        left.stairs(
            batch["shares"],
            numbers["edges"],
            label=f"batch of {batch['batch_size']}",
            color=colour(series),
            linewidth=1.4,
        )
    left.set_yscale("log")
    left.set_xlabel("BatchNorm's output")
    title(left, "share of values per bin")
    legend(left, loc="upper right")
    sizes = [batch["batch_size"] for batch in numbers["batches"]]
    for series, (key, label) in enumerate((("correlation_derived", "derived"), ("correlation_seen", "seen"))):
        right.plot(sizes, [batch[key] for batch in numbers["batches"]], label=label, **look(series), markersize=5)
    right.set_xscale("log", base=2)
    right.set_xticks(sizes, [str(size) for size in sizes])
    right.set_ylim(0.5, 1.02)
    right.set_xlabel("batch size")
    title(right, "correlation of output and input")
    legend(right, loc="lower right")
    return Chart(figure)


BATCHES = Measurement(
    name="small-batches",
    heading="Why a batch can be too small",
    measure=measure_batches,
    present=present_batches,
    parameters={"seed": 0, "values": 200_000, "batch_sizes": [2, 4, 8, 32, 128, 512]},
)
