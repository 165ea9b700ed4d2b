"""Tanh of a normal input: how one-sided it is, and where BatchNorm puts it then."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ... import functional as F
from ...creation import tensor
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import FAINT, Chart, colour, legend, line, panels, title
from ..tables import Table
from .experiment import Measurement
from .moments import decimal
from .seed_000_population import expectation

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Step and reach of the midpoint rule behind the map, in deviations of the input.
STEP, FARTHEST = 2e-3, 8.0


def derived_asymmetry(mean: float, deviation: float) -> dict[str, float]:
    """Skewness and mean magnitude of tanh(mean + deviation z), z ~ N(0, 1), by numerical integration.

    >>> abs(derived_asymmetry(0.0, 1.0)["skewness"]) < 1e-9
    True
    """

    def of(power: Callable[[float], float]) -> float:
        return expectation(lambda z: power(math.tanh(mean + deviation * z)), -mean / deviation)

    first = of(lambda t: t)
    second, third = of(lambda t: (t - first) ** 2), of(lambda t: (t - first) ** 3)
    return {"skewness": third / second**1.5, "magnitude": of(abs)}


def sampled_asymmetry(mean: float, deviation: float, z: Array) -> dict[str, float]:
    """The same of a sample that goes through the engine's tanh."""
    output = F.tanh(tensor(mean + deviation * z)).numpy()
    return {"skewness": _skewness(output, np.full(output.shape, 1.0 / output.size)), "magnitude": _magnitude(output)}


def _magnitude(values: Array) -> float:
    return float(np.abs(values).mean())


def _skewness(values: Array, weights: Array) -> float:
    centred = values - weights @ values
    return float(weights @ centred**3 / (weights @ centred**2) ** 1.5)


def measure_asymmetry(
    *, seed: int, values: int, pairs: list[list[float]], means: list[float], deviations: list[float]
) -> dict[str, Any]:
    """Skewness and mean magnitude of tanh of a normal input.

    Returns:
        pairs: for each mean and deviation, derived and sampled; map: the skewness for every deviation (rows) and mean.
    """
    z = np.random.default_rng(seed).normal(size=values)
    rows = [
        {
            "mean": mean,
            "deviation": deviation,
            "derived": derived_asymmetry(mean, deviation),
            "seen": sampled_asymmetry(mean, deviation, z),
        }
        for mean, deviation in pairs
    ]
    nodes = np.arange(-FARTHEST, FARTHEST, STEP) + STEP / 2
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    skewness = [
        [_skewness(F.tanh(tensor(mean + deviation * nodes)).numpy(), weights) for mean in means]
        for deviation in deviations
    ]
    return {"values": values, "pairs": rows, "means": means, "deviations": deviations, "map": skewness}


def present_asymmetry(numbers: dict[str, Any]) -> Sequence[Section]:
    """Show when tanh is one-sided, and what that means for Convention's beta and gamma."""
    rows = tuple(
        (
            f"{pair['mean']:g}, {pair['deviation']:g}",
            *(decimal(pair[how]["skewness"], 3) for how in ("derived", "seen")),
            *(decimal(pair[how]["magnitude"], 3) for how in ("derived", "seen")),
        )
        for pair in numbers["pairs"]
    )
    off = max(
        abs(pair["derived"][key] - pair["seen"][key]) for pair in numbers["pairs"] for key in ("skewness", "magnitude")
    )
    grid = np.abs(np.array(numbers["map"]))
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    centred = [abs(row[numbers["means"].index(0.0)]) for row in numbers["map"]]
    heading = ("mean, deviation", "skewness, derived", "seen", "mean |tanh|, derived", "seen")
    return (
        Section(
            "asymmetry",
            "When is tanh one-sided?",
            (
                Text(
                    "In Convention order BatchNorm comes right before tanh, so that a channel's input has mean β and "
                    "deviation |γ|: these two numbers decide how one-sided the channel can be. In Swap order the "
                    "weights and the bias decide, without any bound. Here the input is taken as normal with a mean and "
                    f"a deviation; derived by integration, and {numbers['values']:,} values through the engine's tanh."
                ),
                CaptionedTable("asymmetry", "Tanh of a normal input.", Table(heading, rows, ())),
                Figure(
                    "asymmetry",
                    "Skewness of tanh's output. Left: by mean, one line per deviation of the input. Right: its "
                    "magnitude for all means and deviations; bright is one-sided. Negative means give the same, "
                    "mirrored.",
                    partial(asymmetry_chart, numbers),
                ),
                Finding(
                    f"Derived and seen agree to {off:.1g}. With mean 0 the output is symmetric for every deviation (at "
                    f"most {max(centred):.1g}). On this map it is most one-sided at mean {numbers['means'][column]:g} "
                    f"and deviation {numbers['deviations'][row]:g}: {decimal(float(grid[row, column]), 2)}. A weight "
                    "decay that pulls β to 0 therefore takes Convention's asymmetry away: the paper's ablation."
                ),
            ),
        ),
    )


def asymmetry_chart(numbers: dict[str, Any]) -> Chart:
    """Curves over the mean for some deviations, and the map over both."""
    figure, (left, right) = panels(2, width=8.8, height=3.4)
    drawn = [number for number, value in enumerate(numbers["deviations"]) if value in (0.5, 1.0, 2.0, 3.0)]
    for series, number in enumerate(drawn):
        label = f"deviation {numbers['deviations'][number]:g}"
        look = {"color": colour(series), "linestyle": line(series), "linewidth": 1.8}
        left.plot(numbers["means"], numbers["map"][number], label=label, **look)
    left.axhline(0.0, color=FAINT, linewidth=0.8)
    left.set_xlabel("mean of the input")
    title(left, "skewness of tanh")
    legend(left, loc="lower left")
    means, deviations = numbers["means"], numbers["deviations"]
    mesh = right.pcolormesh(means, deviations, np.abs(np.array(numbers["map"])), cmap="cividis", shading="nearest")
    right.set_xlabel("mean of the input")
    right.set_ylabel("its deviation")
    title(right, "|skewness|")
    figure.colorbar(mesh, ax=right).outline.set_visible(False)
    return Chart(figure)


# -- BatchNorm after tanh ------------------------------------------------------------------------------------------


def measure_relocation(*, seed: int, values: int, inputs: list[list[float]], reach: float) -> dict[str, Any]:
    """Send normal inputs through tanh and then BatchNorm, and see where the saturated side ends up.

    Returns:
        values; cases: for each input the sparsity 1 - mean|h| / max|h| after tanh and after BatchNorm, the share of
        outputs within half a deviation of 0, the values that BatchNorm gives to tanh's two ends, and the curve
        BN(tanh(x)) over a grid of inputs; grid.
    """
    z = np.random.default_rng(seed).normal(size=values)
    grid = np.linspace(-reach, reach, 241)
    cases = []
    for mean, deviation in inputs:
        activated = F.tanh(tensor((mean + deviation * z).reshape(-1, 1)))
        normalised = F.batch_norm(activated, None, None, training=True).numpy().ravel()
        output = activated.numpy().ravel()
        statistics = tensor(np.array([output.mean()])), tensor(np.array([output.var()]))
        ends = F.batch_norm(tensor(np.array([[-1.0], [1.0]])), *statistics, training=False).numpy().ravel()
        curve = F.batch_norm(F.tanh(tensor(grid.reshape(-1, 1))), *statistics, training=False).numpy().ravel()
        cases.append(
            {
                "mean": mean,
                "deviation": deviation,
                "skewness": _skewness(output, np.full(values, 1.0 / values)),
                "magnitude": _magnitude(output),
                "sparsity_before": 1.0 - _magnitude(output) / float(np.abs(output).max()),
                "sparsity_after": 1.0 - _magnitude(normalised) / float(np.abs(normalised).max()),
                "near_zero": float(np.mean(np.abs(normalised) < 0.5)),
                "ends": ends.tolist(),
                "curve": curve.tolist(),
            }
        )
    return {"values": values, "grid": grid.tolist(), "cases": cases}


def present_relocation(numbers: dict[str, Any]) -> Sequence[Section]:
    """Show where BatchNorm puts the saturated side of an asymmetric tanh, and of a symmetric one."""
    rows = tuple(
        (
            f"{case['mean']:g}, {case['deviation']:g}",
            decimal(case["skewness"], 2),
            decimal(case["magnitude"], 3),
            " / ".join(decimal(end, 2) for end in case["ends"]),
            f"{case['near_zero']:.0%}",
            decimal(case["sparsity_before"], 3),
            decimal(case["sparsity_after"], 3),
        )
        for case in numbers["cases"]
    )
    least = min(numbers["cases"], key=lambda case: abs(case["skewness"]))
    most = max(numbers["cases"], key=lambda case: abs(case["skewness"]))
    end = min(most["ends"], key=abs)
    heading = (
        "mean, deviation",
        "skewness",
        "saturation",
        "−1 / +1 become",
        "within ½ of 0",
        "sparsity of tanh",
        "after BN",
    )
    return (
        Section(
            "relocation",
            "What BatchNorm after tanh does to the saturated side",
            (
                Text(
                    "The paper's second step: a one-sided channel has a mean near one end of tanh, and BatchNorm takes "
                    "the mean away, so that the crowded end comes to lie near 0 and the rare other end far out, as "
                    "ReLU would have it. A channel that is saturated on both sides alike has mean 0 already, and gains "
                    "nothing."
                ),
                CaptionedTable(
                    "relocation", f"BN(tanh(x)) for normal x; {numbers['values']:,} values.", Table(heading, rows, ())
                ),
                Figure(
                    "relocation",
                    "BN(tanh(x)) as a function of x for inputs of several means and deviations; the dots are the mean "
                    "of the input and one deviation to either side.",
                    partial(relocation_chart, numbers),
                ),
                Finding(
                    f"For the most one-sided input here (mean {most['mean']:g}, deviation {most['deviation']:g}) "
                    f"BatchNorm puts the crowded end at {decimal(end, 2)} and the other one at "
                    f"{decimal(max(most['ends'], key=abs), 2)}: {_sparsity_text(most)}. For the most symmetric one "
                    f"(mean {least['mean']:g}, deviation {least['deviation']:g}) {_sparsity_text(least)}. It is the "
                    f"far end that makes the measure high: of the one-sided outputs {most['near_zero']:.0%} lie within "
                    f"half a deviation of 0, of the symmetric ones {least['near_zero']:.0%}. “Near zero” is meant "
                    "against the largest value."
                ),
            ),
        ),
    )


def _sparsity_text(case: dict[str, Any]) -> str:
    before, after = case["sparsity_before"], case["sparsity_after"]
    word = "stays where it is" if abs(after - before) < 0.02 else "rises" if after > before else "falls"
    return f"sparsity {word}, {decimal(before, 2)} before BatchNorm and {decimal(after, 2)} after it"


def relocation_chart(numbers: dict[str, Any]) -> Chart:
    """The curves BN(tanh(x)), one per input."""
    figure, (panel,) = panels(1, width=6.6, height=3.6)
    panel.axhline(0.0, color=FAINT, linewidth=0.8)
    for series, case in enumerate(numbers["cases"]):
        label = f"mean {case['mean']:g}, deviation {case['deviation']:g}"
        panel.plot(
            numbers["grid"], case["curve"], label=label, color=colour(series), linestyle=line(series), linewidth=1.7
        )
        places = [case["mean"] + step * case["deviation"] for step in (-1.0, 0.0, 1.0)]
        heights = np.interp(places, numbers["grid"], case["curve"])
        panel.plot(places, heights, "o", color=colour(series), markersize=5)
    panel.set_xlabel("x, the input of tanh")
    panel.set_ylabel("BN(tanh(x))")
    legend(panel, loc="lower right")
    return Chart(figure)


ASYMMETRY = Measurement(
    name="skewness-of-tanh",
    heading="Asymmetric saturation, derived",
    measure=measure_asymmetry,
    present=present_asymmetry,
    parameters={
        "seed": 0,
        "values": 1_000_000,
        "pairs": [[0.0, 1.0], [0.0, 3.0], [0.5, 1.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]],
        "means": [round(0.1 * step, 1) for step in range(31)],
        "deviations": [round(0.25 * step, 2) for step in range(1, 13)],
    },
)
RELOCATION = Measurement(
    name="curve",
    heading="BatchNorm after tanh",
    measure=measure_relocation,
    present=present_relocation,
    parameters={
        "seed": 0,
        "values": 200_000,
        "inputs": [[0.0, 1.0], [0.0, 4.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]],
        "reach": 6.0,
    },
)
