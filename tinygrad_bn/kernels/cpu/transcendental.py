"""Exponentials and what follows from them, float32, in a form that compiles to vector instructions.

No branches and no tables: the argument is reduced, and a polynomial or a quotient of two does the rest. The reduction
of the exponential is Cody & Waite's (1980, "Software Manual for the Elementary Functions", chapter 6): x = n ln 2 + r,
where ln 2 is a sum of two numbers, the first with so few digits that n times it is exact. The coefficients minimise the
largest relative error over the interval; they were found by least squares with weights that grow where the error is
large (Lawson 1961), in float64.

NaN stays NaN: limits are written so that a comparison with NaN leaves it in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def compiled_as_written(function: Callable[..., Any]) -> Any:
    """Make a part like `compiled_part` whose sums are not reordered: reducing an argument lives on their rounding."""
    return numba.njit(
        nogil=True,
        forceinline=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        error_model="numpy",
        fastmath={"contract", "nsz"},
    )(function)


_f = np.float32
_i = np.int32


def _coefficients(*values: float) -> tuple[np.float32, ...]:
    return tuple(map(np.float32, values))


_ZERO, _HALF, _ONE, _TWO = _coefficients(0.0, 0.5, 1.0, 2.0)
_PER_LN2, _LN2_HIGH, _LN2_LOW = _coefficients(1.4426950408889634, 0.693359375, -2.12194440e-4)
_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)

# (exp(r) - 1 - r) / r^2 in powers of r, for |r| <= ln(2) / 2.
_EXP = _coefficients(0.499999995502, 0.166665769622, 0.0416668541031, 0.00836320005626, 0.00139013090731)
# artanh(s) / s in powers of s^2, for 0 <= s <= 1/3.
_ARTANH = _coefficients(1.00000000396, 0.333331573412, 0.20012455131, 0.139803015218, 0.140891668034)
# arctan(s) / s in powers of s^2, for 0 <= s <= 1.
_ARCTAN = _coefficients(
    0.99999998476557,
    -0.33333073342464,
    0.19992619336844,
    -0.14203644025320,
    0.10640932283896,
    -0.07504290809790,
    0.04269147506122,
    -0.01606860168231,
    0.00284988278602,
)
# erf(x) / x is the quotient of these, in powers of x^2, for 0 <= x <= 4.
_ERF_TOP = _coefficients(
    1.1283791393056, 0.19354476517838, 0.053101714565540, 0.0038833347669059, 0.00028456626809244, 1.9867911681012e-06
)
_ERF_BOTTOM = _coefficients(
    1.0, 0.50485713768387, 0.11534988492241, 0.015207230468155, 0.0011855700894622, 3.7420287952120e-05
)
# The mass of the normal distribution beyond a >= 0 is exp(-a^2 / 2) t times this, in powers of t = 1 / (1 + 0.35 a).
_NORMAL_TAIL = _coefficients(
    0.13962130680228,
    0.13986351621530,
    0.11982128142306,
    0.10555252943664,
    -0.02321242288348,
    0.15931980272122,
    -0.25583910276018,
    0.14403096944012,
    -0.02915789636090,
)
_NORMAL_RATE = np.float32(0.35)
_ERF_IS_ONE = np.float32(4.0)


@compiled_as_written
def polynomial(coefficients: Any, x: Any) -> Any:
    """Return the polynomial whose coefficients are given lowest power first, by Horner's rule."""
    total = coefficients[-1]
    for power in range(len(coefficients) - 2, -1, -1):
        total = total * x + coefficients[power]
    return total


@compiled_as_written
def limited(x: Any, low: Any, high: Any) -> Any:
    """Return x within the limits; NaN stays."""
    x = low if x < low else x
    return high if x > high else x


@compiled_as_written
def _two_to(n: Any) -> Any:
    """Return 2^n for -127 < n < 128."""
    return _i((n + _BIAS) << _MANTISSA_BITS).view(_f)


@compiled_as_written
def exp(x: Any) -> Any:
    """Return e^x, denormal results and infinity included."""
    x = limited(x, _f(-104.0), _f(89.0))
    n = np.rint(x * _PER_LN2)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    # 2^n in two factors, because it may be too small or too large for one.
    whole = _i(n)
    half = whole >> _i(1)
    return (r * r * polynomial(_EXP, r) + r + _ONE) * _two_to(half) * _two_to(whole - half)


@compiled_as_written
def expm1(x: Any) -> Any:
    """Return e^x - 1."""
    x = limited(x, _f(-30.0), _f(89.0))
    n = np.rint(x * _PER_LN2)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    half = _two_to(_i(n) - _i(1))  # 2^128 would be infinite
    return _TWO * ((r + r * r * polynomial(_EXP, r)) * half + (half - _HALF))


@compiled_as_written
def log1p(x: Any) -> Any:
    """Return ln(1 + x) for 0 <= x <= 1, as 2 artanh(x / (2 + x))."""
    s = x / (_TWO + x)
    return _TWO * s * polynomial(_ARTANH, s * s)


@compiled_as_written
def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent, from e^(-2|x|) - 1."""
    e = expm1(-_TWO * abs(x))
    return math.copysign(e / (_TWO + e), x)


@compiled_as_written
def erf(x: Any) -> Any:
    """Return the error function."""
    x = limited(x, -_ERF_IS_ONE, _ERF_IS_ONE)
    square = x * x
    return limited(x * polynomial(_ERF_TOP, square) / polynomial(_ERF_BOTTOM, square), -_ONE, _ONE)


@compiled_as_written
def arctan(x: Any) -> Any:
    """Return the inverse tangent; beyond 1 it is pi/2 - arctan(1/x)."""
    magnitude = abs(x)
    large = magnitude > _ONE
    s = (_ONE if large else magnitude) / (magnitude if large else _ONE)
    angle = s * polynomial(_ARCTAN, s * s)
    return math.copysign(_f(math.pi / 2) - angle if large else angle, x)


@compiled_as_written
def normal_density_and_mass(x: Any) -> Any:
    """Return exp(-x^2 / 2), and the mass of the normal distribution below x with a small relative error in its tail."""
    bell = exp(-_HALF * x * x)
    t = _ONE / (_ONE + _NORMAL_RATE * abs(x))
    tail = bell * t * polynomial(_NORMAL_TAIL, t)
    return bell, (_ONE - tail if x > _ZERO else tail)
