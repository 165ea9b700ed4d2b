"""The error function, against SciPy and against 50-digit arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_bn.kernels.reference.special import erf

scipy_special = pytest.importorskip("scipy.special")
POINTS = np.concatenate([np.linspace(-11, 11, 20001), np.geomspace(1e-300, 1, 500), [0.0, -0.0, 1.0, -1.0, 5e-324]])


def test_erf_in_float64() -> None:
    np.testing.assert_allclose(erf(np, POINTS), scipy_special.erf(POINTS), rtol=4e-15, atol=0)


def test_erf_in_float32_and_float16() -> None:
    x = POINTS[np.abs(POINTS) > 1e-30].astype("float32")
    y = erf(np, x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, scipy_special.erf(x.astype("float64")), rtol=1e-6)
    half = np.linspace(-4, 4, 1001).astype("float16")
    assert erf(np, half).dtype == np.float16
    np.testing.assert_allclose(erf(np, half), scipy_special.erf(half.astype("float64")), rtol=1e-3)


def test_erf_at_the_ends() -> None:
    y = erf(np, np.array([np.inf, -np.inf, np.nan, 0.0, -0.0]))
    np.testing.assert_array_equal(y, [1.0, -1.0, np.nan, 0.0, -0.0])
    assert np.signbit(y[4])


def test_erf_against_50_digits() -> None:
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(50):
        for x in (1e-8, 0.3, 0.999999, 1.0, 1.000001, 2.5, 5.9, 9.99):
            exact = mpmath.erf(mpmath.mpf(x))
            assert abs((mpmath.mpf(float(erf(np, np.array(x)))) - exact) / exact) < 4e-15


def test_erf_rises_everywhere() -> None:
    y = erf(np, np.linspace(-6, 6, 100_001))
    assert (np.diff(y) >= -1e-16).all()
