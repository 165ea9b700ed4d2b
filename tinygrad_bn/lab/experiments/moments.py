"""Numbers that describe a set of values, and how they are written."""

from __future__ import annotations

from typing import Any

import numpy as np

#: What `moments` returns, and how a table's heading calls it.
MOMENT_TITLES = {
    "mean": "mean",
    "deviation": "standard deviation",
    "skewness": "skewness",
    "zeros": "exact zeros",
    "smallest": "smallest",
    "largest": "largest",
}


def moments(values: Any) -> dict[str, float | None]:
    """Describe a set of values, all of them, whatever their shape.

    Returns:
        mean, deviation (population standard deviation), skewness (m3 / m2^1.5; None for values that are all equal),
        zeros (share of values that are exactly 0), smallest, largest.

    >>> moments([0.0, 0.0, 3.0])["largest"]
    3.0
    """
    values = np.asarray(values, dtype=np.float64)
    centered = values - values.mean()
    deviation = float(np.sqrt(np.mean(centered**2)))
    return {
        "mean": float(values.mean()),
        "deviation": deviation,
        "skewness": float(np.mean(centered**3)) / deviation**3 if deviation > 0.0 else None,
        "zeros": float(np.mean(values == 0.0)),
        "smallest": float(values.min()),
        "largest": float(values.max()),
    }


def correlation(first: Any, second: Any) -> float:
    """Pearson's correlation of two sets of values: 1 where one is the other, scaled and shifted."""
    return float(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1])


def decimal(value: float | None, places: int = 4) -> str:
    """A number with its decimals and a true minus sign; `none` for None.

    >>> decimal(-0.6833), decimal(-0.00001), decimal(None)
    ('−0.6833', '0.0000', 'none')
    """
    if value is None:
        return "none"
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text.replace("-", "−")


def tiny(value: float) -> str:
    """The size of a rounding error, or of something larger: `0`, `2.2e-16`, `0.31`.

    >>> tiny(0.0), tiny(2.22e-16), tiny(0.3141)
    ('0', '2.2e-16', '0.31')
    """
    if value == 0.0:
        return "0"
    return f"{value:.1e}" if value < 1e-3 else f"{value:.2g}"
