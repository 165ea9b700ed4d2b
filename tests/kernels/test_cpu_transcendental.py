"""The vectorised exponentials and their kin against float64, over the whole range of float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

import numba

from tinygrad_bn.kernels.cpu import transcendental


def _over(part: Any, x: np.ndarray) -> np.ndarray:
    @numba.njit
    def run(x: Any, out: Any) -> None:
        for i in range(len(x)):
            out[i] = part(x[i])

    out = np.empty_like(x)
    run(x, out)
    return out


def _spread(low: float, high: float) -> np.ndarray:
    """Numbers of every size in an interval, as float32."""
    rng = np.random.default_rng(0)
    tiny = np.exp(rng.uniform(-60.0, math.log(max(-low, high)), 200_000)) * rng.choice([-1.0, 1.0], 200_000)
    return np.clip(np.concatenate([rng.uniform(low, high, 200_000), tiny]), low, high).astype("float32")


# In units of the last place of the result; the reference, NumPy's float32, is good to 1 to 4.
@pytest.mark.parametrize(
    ("name", "exact", "interval", "most"),
    [
        ("exp", np.exp, (-87.0, 88.0), 1.5),
        ("expm1", np.expm1, (-87.0, 88.0), 2.0),
        ("log1p", np.log1p, (0.0, 1.0), 4.0),
        ("tanh", np.tanh, (-20.0, 20.0), 3.0),
        ("arctan", np.arctan, (-1e6, 1e6), 2.5),
        ("erf", np.vectorize(math.erf), (-6.0, 6.0), 6.0),
    ],
)
def test_error_in_units_of_the_last_place(
    name: str, exact: Callable[..., Any], interval: tuple[float, float], most: float
) -> None:
    x = _spread(*interval)
    expected = exact(x.astype("float64"))
    error = np.abs(_over(getattr(transcendental, name), x) - expected) / np.spacing(np.abs(expected).astype("float32"))
    assert error.max() <= most, f"at {x[error.argmax()]}"


def test_the_normal_distribution_is_exact_in_its_tail() -> None:
    x = np.linspace(-12.0, 8.0, 2001, dtype="float32")

    @numba.njit
    def mass(x: Any) -> Any:
        return transcendental.normal_density_and_mass(x)[1]

    expected = np.array([0.5 * math.erfc(-float(v) / math.sqrt(2.0)) for v in x])
    np.testing.assert_allclose(_over(mass, x), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("exp", [np.inf, -np.inf, np.nan, 0.0, 88.8, -100.0], [np.inf, 0.0, np.nan, 1.0, np.inf, np.exp(-100.0)]),
        ("expm1", [np.inf, -np.inf, np.nan, 0.0, 88.8, 88.7], [np.inf, -1.0, np.nan, 0.0, np.inf, np.exp(88.7)]),
        ("tanh", [np.inf, -np.inf, np.nan, 0.0, 1e-30], [1.0, -1.0, np.nan, 0.0, 1e-30]),
        ("erf", [np.inf, -np.inf, np.nan, 0.0, 1e-30], [1.0, -1.0, np.nan, 0.0, 1e-30 * 2.0 / math.sqrt(math.pi)]),
        ("arctan", [np.inf, -np.inf, np.nan, 0.0], [math.pi / 2, -math.pi / 2, np.nan, 0.0]),
    ],
)
def test_where_functions_end(name: str, at: list[float], expected: list[float]) -> None:
    found = _over(getattr(transcendental, name), np.array(at, dtype="float32"))
    np.testing.assert_allclose(found, np.array(expected, dtype="float64"), rtol=1e-5, atol=2e-45)


def test_odd_functions_keep_the_sign_of_zero() -> None:
    for name in ("tanh", "arctan", "erf"):
        assert np.signbit(_over(getattr(transcendental, name), np.array([-0.0], dtype="float32")))[0], name
