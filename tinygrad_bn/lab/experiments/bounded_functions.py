"""The activation functions of the experiment: shapes, bounds and slopes, through the engine and by formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...functional import get_activation
from ..document import CaptionedTable, Figure, Finding, Section, Text
from ..figures import FAINT, Chart, colour, legend, line, panels, title
from ..tables import Table
from .depth_theory import values_and_slopes
from .experiment import Measurement
from .moments import decimal

#: Name -> formula, slope right of 0 by hand, source.
FORMULAS: dict[str, tuple[str, float, str]] = {
    "tanh": ("tanh x", 1.0, ""),
    "lecun_tanh": ("1.7159 tanh(2x/3)", 1.7159 * 2.0 / 3.0, "LeCun and others 1998, Efficient BackProp"),
    "softsign": ("x / (1 + |x|)", 1.0, "Bergstra and others 2009"),
    "penalized_tanh": ("tanh x, a quarter of it for x < 0", 1.0, "Xu, Huang & Li 2016"),
    "shifted_tanh": ("tanh(x + 1)", 1.0 - math.tanh(1.0) ** 2, "this package's, for asymmetry from the start"),
    "sigmoid": ("1 / (1 + exp(−x))", 0.25, ""),
    "hardtanh": ("x limited to [−1, 1]", 1.0, "Collobert 2004"),
    "relu": ("max(x, 0)", 1.0, ""),
}
#: Just right of 0, and so far out that saturating functions are at their bounds.
NEAR, FAR = 1e-7, 1e8


def measure_functions(*, reach: float, points: int) -> dict[str, Any]:
    """Evaluate every function on a grid, at 0 and far out.

    Returns:
        grid; functions: for each name the values on the grid, the slope right and left of 0, the values far out on both
        sides, its bounds as the package knows them (null where infinite), and whether f(x) - f(0) is odd.
    """
    grid = np.linspace(-reach, reach, points)
    functions = {}
    for name in FORMULAS:
        values, _ = values_and_slopes(name, grid)
        _, (left, right) = values_and_slopes(name, np.array([-NEAR, NEAR]))
        (low, high), _ = values_and_slopes(name, np.array([-FAR, FAR]))
        traits = get_activation(name)
        functions[name] = {
            "values": values.tolist(),
            "slope": float(right),
            "slope_left": float(left),
            "far": [float(low), float(high)],
            "bounds": [bound if math.isfinite(bound) else None for bound in (traits.lower, traits.upper)],
            "symmetric": bool(np.allclose(values + values[::-1], 2.0 * values[points // 2], atol=1e-12)),
        }
    return {"grid": grid.tolist(), "functions": functions}


def present_functions(numbers: dict[str, Any]) -> Sequence[Section]:
    """Show the shapes, and which functions start out asymmetric."""
    functions = numbers["functions"]
    rows = tuple(
        (
            name,
            FORMULAS[name][0],
            f"{_bound(found['bounds'][0])} to {_bound(found['bounds'][1])}",
            decimal(FORMULAS[name][1]),
            decimal(found["slope"]),
            "yes" if found["symmetric"] else "no",
            FORMULAS[name][2] or "in general use",
        )
        for name, found in functions.items()
    )
    bounded = {name: found for name, found in functions.items() if None not in found["bounds"]}
    off = max(abs(bound - far) for f in bounded.values() for bound, far in zip(f["bounds"], f["far"], strict=True))
    slopes = max(abs(FORMULAS[name][1] - found["slope"]) for name, found in functions.items())
    asymmetric = [name for name in bounded if not functions[name]["symmetric"]]
    agree = "agree with" if max(off, slopes) < 1e-5 else "differ from"
    return (
        Section(
            "functions",
            "The functions",
            (
                Figure(
                    "functions",
                    "The functions of this experiment. Left: bounded, and symmetric about their value at 0. Right: the "
                    "others; only ReLU has no bound.",
                    partial(function_chart, numbers),
                ),
                CaptionedTable(
                    "functions",
                    "Formula, range and slope just right of 0: by hand, and from this package's backward pass.",
                    Table(("", "formula", "range", "slope at 0", "seen", "symmetric", "source"), rows, ()),
                ),
                Finding(
                    f"The functions of this package {agree} their formulas: farthest from a bound far out "
                    f"{off:.1g}, farthest from a slope at 0 {slopes:.1g}. Bounded, but not symmetric about their value "
                    f"at 0, are {', '.join(asymmetric)}: these are asymmetric before any training, the others only "
                    "where their input is."
                ),
                Text(
                    "A function that is symmetric about its value at 0 has a symmetric output for a symmetric input. "
                    "ReLU's output is one-sided for every input that has a negative side. The paper's point is that "
                    "Swap lets a bounded function become one-sided, too."
                ),
            ),
        ),
    )


def _bound(value: float | None) -> str:
    return "∞" if value is None else decimal(value)


def function_chart(numbers: dict[str, Any]) -> Chart:
    """The graphs of the functions: symmetric ones to the left, the others to the right."""
    figure, axes = panels(2, width=8.4, height=3.3)
    for panel, symmetric, heading in zip(
        axes, (True, False), ("symmetric about their value at 0", "not symmetric"), strict=True
    ):
        panel.axhline(0.0, color=FAINT, linewidth=0.8)
        panel.axvline(0.0, color=FAINT, linewidth=0.8)
        chosen = [(name, found) for name, found in numbers["functions"].items() if found["symmetric"] == symmetric]
        for series, (name, found) in enumerate(chosen):
            look = {"color": colour(series), "linestyle": line(series), "linewidth": 1.7}
            panel.plot(numbers["grid"], found["values"], label=name, **look)
        title(panel, heading)
        panel.set_xlabel("x")
        panel.set_ylim(-1.9, 1.9)
        legend(panel, loc="upper left")
    return Chart(figure)


FUNCTIONS = Measurement(
    name="functions",
    heading="The activation functions",
    measure=measure_functions,
    present=present_functions,
    parameters={"reach": 5.0, "points": 401},
)
