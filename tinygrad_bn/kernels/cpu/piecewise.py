"""Formulas of activation functions that need arithmetic and comparisons only: (value, slope), see `formulas`."""

from __future__ import annotations

from typing import Any

from .transcendental import compiled_as_written, limited


def piecewise(scalar: Any) -> dict[str, tuple[Any, Any]]:
    """Return them for numbers of one kind, np.float32 or np.float64: constants have to be of the same."""
    zero, half, one, three, six = map(scalar, (0.0, 0.5, 1.0, 3.0, 6.0))
    sixth, third = scalar(1.0 / 6.0), scalar(1.0 / 3.0)

    @compiled_as_written
    def softsign(x: Any, p: Any, q: Any) -> Any:
        return x / (one + abs(x))

    @compiled_as_written
    def softsign_slope(y: Any, p: Any, q: Any) -> Any:
        rest = one - abs(y)
        return rest * rest

    @compiled_as_written
    def hardtanh(x: Any, p: Any, q: Any) -> Any:
        return limited(x, p, q)

    @compiled_as_written
    def hardtanh_slope(x: Any, p: Any, q: Any) -> Any:
        return one if (x > p) & (x < q) else zero

    @compiled_as_written
    def hardsigmoid(x: Any, p: Any, q: Any) -> Any:
        return limited(x * sixth + half, zero, one)

    @compiled_as_written
    def hardsigmoid_slope(x: Any, p: Any, q: Any) -> Any:
        return sixth if (x > -three) & (x < three) else zero

    @compiled_as_written
    def relu6(x: Any, p: Any, q: Any) -> Any:
        return limited(x, zero, six)

    @compiled_as_written
    def relu6_slope(x: Any, p: Any, q: Any) -> Any:
        return one if (x > zero) & (x < six) else zero

    @compiled_as_written
    def relu(x: Any, p: Any, q: Any) -> Any:
        return zero if x < zero else x

    @compiled_as_written
    def relu_slope(y: Any, p: Any, q: Any) -> Any:
        return one if y > zero else zero

    @compiled_as_written
    def leaky_relu(x: Any, p: Any, q: Any) -> Any:
        return x if x > zero else p * x

    @compiled_as_written
    def leaky_relu_slope(x: Any, p: Any, q: Any) -> Any:
        return one if x > zero else p

    @compiled_as_written
    def hardswish(x: Any, p: Any, q: Any) -> Any:
        return x * limited(x + three, zero, six) * sixth

    @compiled_as_written
    def hardswish_slope(x: Any, p: Any, q: Any) -> Any:
        inside = x * third + half
        return zero if x <= -three else (one if x >= three else inside)

    return {
        "softsign": (softsign, softsign_slope),
        "hardtanh": (hardtanh, hardtanh_slope),
        "hardsigmoid": (hardsigmoid, hardsigmoid_slope),
        "relu6": (relu6, relu6_slope),
        "relu": (relu, relu_slope),
        "leaky_relu": (leaky_relu, leaky_relu_slope),
        "hardswish": (hardswish, hardswish_slope),
    }
