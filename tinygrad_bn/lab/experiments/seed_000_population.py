"""Why BatchNorm then ReLU and ReLU then BatchNorm differ: normal values, integrated and sent through the engine.

Notation: z ~ N(0, 1) with density phi and distribution function Phi; an input of mean m is m + z.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ... import functional as F
from ...creation import tensor
from ...errors import missing_dependency
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import FAINT, Chart, colour, legend, line, panels, title
from ..tables import Table
from .experiment import Measurement
from .moments import correlation, decimal, moments, tiny

RELU_LAST, NORM_LAST = "BN → ReLU", "ReLU → BN"
EPS = 1e-5
#: Side of the images that the values are arranged in; even, so that pooling leaves nothing out.
SIDE = 100


def expectation(of: Callable[[float], float], kink: float = 0.0) -> float:
    """The mean of a function of z ~ N(0, 1), by numerical integration.

    Args:
        of: the function.
        kink: where it is not smooth.
    """
    try:
        from scipy.integrate import quad
    except ImportError as error:
        raise missing_dependency("experiments", "scipy", "lab") from error

    def integrand(z: float) -> float:
        return of(z) * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)

    return float(sum(quad(integrand, low, high, epsabs=1e-12)[0] for low, high in ((-12.0, kink), (kink, 12.0))))


def rectified_moments(mean: float) -> dict[str, float]:
    """Mean, deviation and skewness of relu(mean + z), by integration."""

    def power(exponent: int) -> float:
        return expectation(lambda z: max(mean + z, 0.0) ** exponent, -mean)

    first, second, third = power(1), power(2), power(3)
    deviation = math.sqrt(second - first**2)
    return {
        "mean": first,
        "deviation": deviation,
        "skewness": (third - 3.0 * first * second + 2.0 * first**3) / deviation**3,
    }


def normal_share_below(x: float) -> float:
    """Phi(x), the share of a standard normal distribution below x."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def measure_population(*, seed: int, images: int, means: list[float]) -> dict[str, Any]:
    """Send images x 100 x 100 normal values through both sequences, and derive what should come out.

    Returns:
        quantities: name, closed form (None where there is none), integral and what was seen; histograms of both
        outputs, before and after pooling; cuts: for each mean of the input, where the sequences cut and how far their
        outputs are from one line.
    """
    z = np.random.default_rng(seed).normal(size=(images, 1, SIDE, SIDE))
    outputs = _both_sequences(z)
    pooled = {name: F.max_pool2d(tensor(output), 2).numpy() for name, output in outputs.items()}
    return {
        "seed": seed,
        "values": z.size,
        "quantities": _quantities(outputs, pooled),
        "histograms": {"the outputs": _histograms(outputs), "after 2 x 2 max pooling": _histograms(pooled)},
        "cuts": [_cut(z, mean) for mean in means],
    }


def _both_sequences(x: np.ndarray[Any, Any], shift: float = 0.0) -> dict[str, np.ndarray[Any, Any]]:
    values = tensor(x)
    gamma, beta = tensor(np.ones(1)), tensor(np.full(1, shift))
    return {
        RELU_LAST: F.relu(F.batch_norm(values, None, None, gamma, beta, training=True, eps=EPS)).numpy(),
        NORM_LAST: F.batch_norm(F.relu(values), None, None, training=True, eps=EPS).numpy(),
    }


def _quantities(
    outputs: dict[str, np.ndarray[Any, Any]], pooled: dict[str, np.ndarray[Any, Any]]
) -> list[dict[str, Any]]:
    closed_mean = 1.0 / math.sqrt(2.0 * math.pi)
    closed_deviation = math.sqrt(0.5 - closed_mean**2)
    # E relu(z)^3 = 2 / sqrt(2 pi), E relu(z)^2 = 1/2.
    closed_skewness = (2.0 * closed_mean - 1.5 * closed_mean + 2.0 * closed_mean**3) / closed_deviation**3
    derived = rectified_moments(0.0)
    # The largest of four independent values has the density 4 phi Phi^3.
    highest = expectation(lambda z: max(z, 0.0) * 4.0 * normal_share_below(z) ** 3)
    relu_last, norm_last = moments(outputs[RELU_LAST]), moments(outputs[NORM_LAST])
    mean, deviation = derived["mean"], derived["deviation"]
    rows = (
        (f"{RELU_LAST}: mean", closed_mean, mean, relu_last["mean"]),
        (f"{RELU_LAST}: standard deviation", closed_deviation, deviation, relu_last["deviation"]),
        (f"{RELU_LAST}: skewness", closed_skewness, derived["skewness"], relu_last["skewness"]),
        (f"{RELU_LAST}: exact zeros", 0.5, normal_share_below(0.0), relu_last["zeros"]),
        (f"{RELU_LAST}: floor", 0.0, 0.0, relu_last["smallest"]),
        (f"{NORM_LAST}: mean", 0.0, 0.0, norm_last["mean"]),
        (f"{NORM_LAST}: standard deviation", 1.0, 1.0, norm_last["deviation"]),
        (f"{NORM_LAST}: skewness", closed_skewness, derived["skewness"], norm_last["skewness"]),
        (f"{NORM_LAST}: exact zeros", 0.0, 0.0, norm_last["zeros"]),
        (f"{NORM_LAST}: floor", -closed_mean / closed_deviation, -mean / deviation, norm_last["smallest"]),
        (f"{RELU_LAST} → pool: mean", None, highest, moments(pooled[RELU_LAST])["mean"]),
        (f"{NORM_LAST} → pool: mean", None, (highest - mean) / deviation, moments(pooled[NORM_LAST])["mean"]),
    )
    keys = ("name", "closed_form", "integral", "seen")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _histograms(outputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    edges = np.linspace(-1.0, 9.0, 101)
    shares = {name: np.histogram(output, edges)[0] / output.size for name, output in outputs.items()}
    return {"edges": edges.tolist(), "shares": {name: share.tolist() for name, share in shares.items()}}


def _cut(z: np.ndarray[Any, Any], mean: float) -> dict[str, Any]:
    """Both sequences for an input of this mean and deviation 1: as functions of the input, and on many values."""
    rectified = rectified_moments(mean)
    product = expectation(lambda z: max(z, 0.0) * max(mean + z, 0.0), max(0.0, -mean))
    centred = rectified_moments(0.0)
    derived = (product - centred["mean"] * rectified["mean"]) / (centred["deviation"] * rectified["deviation"])
    outputs, shifted = _both_sequences(mean + z), _both_sequences(mean + z, shift=mean)
    grid = np.linspace(mean - 2.5, mean + 2.5, 101)
    return {
        "mean": mean,
        "floor_derived": {RELU_LAST: 0.5, NORM_LAST: normal_share_below(-mean)},
        "floor_seen": {name: float(np.mean(output <= output.min() + 1e-9)) for name, output in outputs.items()},
        "skewness_derived": {RELU_LAST: centred["skewness"], NORM_LAST: rectified["skewness"]},
        "skewness_seen": {name: moments(output)["skewness"] for name, output in outputs.items()},
        "correlation_derived": derived,
        "correlation_seen": correlation(outputs[RELU_LAST], outputs[NORM_LAST]),
        "correlation_with_beta": correlation(shifted[RELU_LAST], shifted[NORM_LAST]),
        "curve": {"input": grid.tolist(), **_curves(grid, mean, rectified)},
    }


def _curves(grid: np.ndarray[Any, Any], mean: float, rectified: dict[str, float]) -> dict[str, list[float]]:
    """Both outputs for given inputs, with BatchNorm's statistics set to those of the population."""
    x = tensor(grid.reshape(-1, 1))

    def normalize(values: Any, mean: float, deviation: float) -> Any:
        statistics = tensor(np.array([mean])), tensor(np.array([deviation**2]))
        return F.batch_norm(values, *statistics, training=False, eps=EPS)

    relu_last = F.relu(normalize(x, mean, 1.0))
    norm_last = normalize(F.relu(x), rectified["mean"], rectified["deviation"])
    return {RELU_LAST: relu_last.numpy().ravel().tolist(), NORM_LAST: norm_last.numpy().ravel().tolist()}


def present_population(numbers: dict[str, Any]) -> Sequence[Section]:
    """Show why the pooled values are slightly higher, and when the difference is more than a range."""
    return (_slight_difference(numbers), _real_difference(numbers))


def _slight_difference(numbers: dict[str, Any]) -> Section:
    quantities = {row["name"]: row for row in numbers["quantities"]}
    rows = tuple(
        (name, decimal(row["closed_form"]), decimal(row["integral"]), decimal(row["seen"]))
        for name, row in quantities.items()
    )
    pooled = [quantities[f"{name} → pool: mean"]["seen"] for name in (RELU_LAST, NORM_LAST)]
    farthest = max(quantities.values(), key=lambda row: abs(row["integral"] - row["seen"]))
    gap = abs(farthest["integral"] - farthest["seen"])
    zeros = [quantities[f"{name}: exact zeros"]["seen"] for name in (RELU_LAST, NORM_LAST)]
    floor = quantities[f"{NORM_LAST}: floor"]["seen"]
    mean, deviation = (quantities[f"{RELU_LAST}: {name}"]["seen"] for name in ("mean", "standard deviation"))
    more, word = (pooled[1] / pooled[0] - 1.0), "more" if pooled[1] > pooled[0] else "less"
    return Section(
        "population",
        "Where “slightly more values in Y axis” comes from",
        (
            Text(
                f"Twenty-five values can mislead; these are {numbers['values']:,} values from N(0, 1) (seed "
                f"{numbers['seed']}), in images of one channel. The closed forms are E relu(z) = 1/√(2π) and E "
                "relu(z)² = 1/2; the integrals are computed numerically from the density; the last column went "
                "through this package's batch_norm, relu and max_pool2d. The four values under a pooling window are "
                "independent here; in a real image they are not, and their maximum is a little lower."
            ),
            CaptionedTable(
                "population",
                "Both sequences for inputs from N(0, 1), with gamma 1 and beta 0.",
                Table(("", "closed form", "integral", "seen"), rows, ()),
            ),
            Figure(
                "population-distributions",
                "Share of values per bin, logarithmic. The same distribution, shifted and stretched: the spike at its "
                "lower end is what ReLU cut off.",
                partial(distribution_chart, numbers["histograms"]),
            ),
            Finding(
                f"Seen and derived differ by at most {tiny(gap)} ({farthest['name']}). The pooled mean is "
                f"{decimal(pooled[1], 3)} with BatchNorm last and {decimal(pooled[0], 3)} with ReLU last, "
                f"{abs(more):.0%} {word}: BatchNorm last takes {decimal(mean)} off and divides by "
                f"{decimal(deviation)}, and where the maximum is large the division outweighs the subtraction."
            ),
            Finding(
                f"What is not the same: {zeros[0]:.1%} of the values are exactly 0 with ReLU last, {zeros[1]:.1%} with "
                f"BatchNorm last, where the cut-off values lie at {decimal(floor)} instead. A sparse output becomes a "
                "dense one, and a zero, which adds nothing to the next layer, becomes a constant, which does."
            ),
        ),
    )


def _real_difference(numbers: dict[str, Any]) -> Section:
    cuts = numbers["cuts"]
    rows = tuple(
        (
            decimal(cut["mean"], 0),
            *(f"{cut['floor_seen'][name]:.1%} ({cut['floor_derived'][name]:.1%})" for name in (RELU_LAST, NORM_LAST)),
            *(
                f"{decimal(cut['skewness_seen'][name], 2)} ({decimal(cut['skewness_derived'][name], 2)})"
                for name in (RELU_LAST, NORM_LAST)
            ),
            f"{decimal(cut['correlation_seen'])} ({decimal(cut['correlation_derived'])})",
            decimal(cut["correlation_with_beta"]),
        )
        for cut in cuts
    )
    heading = (
        "mean of input",
        *(f"{name}: at the floor" for name in (RELU_LAST, NORM_LAST)),
        *(f"{name}: skewness" for name in (RELU_LAST, NORM_LAST)),
        "correlation",
        "with β = mean",
    )
    return Section(
        "cut",
        "When it is more than the range",
        (
            Text(
                "If the input of the block has mean 0, both sequences cut at the same place, and one output is the "
                "other one shifted and stretched: swap = (convention − mean)/deviation. Then the article is right "
                "that only the range differs, channel by channel, and the kernels of the next layer can take it up. "
                "A channel's mean is 0 by accident only. ReLU after BatchNorm cuts at the mean, whatever the mean "
                "is, and always removes half of a normal distribution. ReLU before BatchNorm cuts at 0."
            ),
            Figure(
                "cut",
                "Above: both outputs as functions of the input, BatchNorm with the statistics of the population. "
                "Below: one output against the other. A straight line would mean that only the range differs.",
                partial(cut_chart, cuts),
            ),
            CaptionedTable(
                "cut",
                "Inputs from N(mean, 1): seen, and in brackets derived. A correlation of 1 means: the same values "
                "on another scale. The last column gives BatchNorm in the first sequence the shift β = mean, so "
                "that it, too, cuts at 0.",
                Table(heading, rows, ()),
            ),
            *(Finding(_cut_finding(cut)) for cut in cuts),
            Finding(_beta_finding(cuts)),
        ),
    )


def _cut_finding(cut: dict[str, Any]) -> str:
    unexplained = 1.0 - cut["correlation_seen"] ** 2
    floors = cut["floor_seen"]
    start = (
        f"Mean {decimal(cut['mean'], 0)}: {RELU_LAST} cuts {floors[RELU_LAST]:.0%}, {NORM_LAST} {floors[NORM_LAST]:.0%}"
    )
    if unexplained < 1e-4:
        return f"{start}. One output is the other one shifted and stretched: only the range differs."
    return (
        f"{start}. Shifting and stretching one output to fit the other leaves {unexplained:.1%} of its variance "
        "unexplained: here more than the range differs."
    )


def _beta_finding(cuts: list[dict[str, Any]]) -> str:
    lowest = min(cut["correlation_with_beta"] for cut in cuts)
    if lowest > 1.0 - 1e-4:
        return (
            "With BatchNorm first, its trained shift β moves the cut: with γ = 1 and β equal to the mean (in units of "
            f"the deviation) the correlation is at least {decimal(lowest)} for every mean tried. With ReLU first only "
            "the bias of the layer before can move it."
        )
    return f"Even with the shift β = mean the correlation falls to {decimal(lowest)}."


def distribution_chart(histograms: dict[str, Any]) -> Chart:
    """The distributions of both outputs, before and after pooling."""
    figure, axes = panels(len(histograms), width=8.4, height=2.9)
    for panel, (heading, histogram) in zip(axes, histograms.items(), strict=True):
        for series, (name, shares) in enumerate(histogram["shares"].items()):
            edges = np.asarray(histogram["edges"])
            panel.stairs(shares, edges, fill=True, color=colour(series), alpha=0.14)
            panel.stairs(shares, edges, label=name, color=colour(series), linestyle=line(series), linewidth=1.4)
        panel.set_yscale("log")
        panel.set_ylim(1e-6, 2.0)
        panel.set_xlabel("value")
        title(panel, heading)
    axes[0].set_ylabel("share of values per bin")
    legend(axes[0], loc="upper right")
    return Chart(figure)


def cut_chart(cuts: list[dict[str, Any]]) -> Chart:
    """For each mean of the input: both outputs against the input, and against each other."""
    figure, axes = panels(len(cuts), rows=2, width=8.4, height=5.0)
    for above, below, cut in zip(axes, axes[len(cuts) :], cuts, strict=False):
        curve = cut["curve"]
        for series, name in enumerate((RELU_LAST, NORM_LAST)):
            style = {"color": colour(series), "linestyle": line(series)}
            above.plot(curve["input"], curve[name], label=name, linewidth=1.8, **style)
        above.axvline(0.0, color=FAINT, linewidth=0.8)
        above.axvline(cut["mean"], color=FAINT, linewidth=0.8, linestyle=":")
        above.set_xlabel("input (solid: 0, dotted: its mean)")
        title(above, f"mean of the input {decimal(cut['mean'], 0)}")
        below.plot(curve[RELU_LAST], curve[NORM_LAST], color=colour(2), linewidth=2.0)
        below.set_xlabel(f"output of {RELU_LAST}")
    axes[0].set_ylabel("output")
    axes[len(cuts)].set_ylabel(f"output of {NORM_LAST}")
    legend(axes[0], loc="upper left")
    return Chart(figure)


def population(size: str) -> Measurement:
    """The measurement for a size of the experiment."""
    images = {"small": 100, "paper": 1000}[size]
    return Measurement(
        name="population",
        heading="The small difference, derived",
        measure=measure_population,
        present=present_population,
        parameters={"seed": 1, "images": images, "means": [-1.0, 0.0, 1.0]},
    )
