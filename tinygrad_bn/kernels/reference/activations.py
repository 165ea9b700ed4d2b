"""The formula and the slope of every activation function, side by side.

`value(xp, x, ...)` is the function; `slope(xp, x, y, ...)` is its derivative, from the input x, the output y, or both:
what `uses` says decides what is kept in memory for the backward pass. At a kink the slope is PyTorch's choice:
zero for relu at 0, hardtanh at its limits, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .precision import bfloat16_in_float32, in_float32
from .special import erf

LECUN_SCALE, LECUN_RATE = 1.7159, 2.0 / 3.0  # LeCun et al. 1998, "Efficient BackProp"
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017


class Formula(NamedTuple):
    """An activation's value and slope; `uses` is "input", "output" or "nothing"."""

    value: Callable[..., Any]
    slope: Callable[..., Any]
    uses: str


def _sigmoid(xp: Any, x: Any) -> Any:
    return 1.0 / (1.0 + xp.exp(-x))


def _elu(xp: Any, x: Any, alpha: float) -> Any:
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0.0)))


def _elu_slope(xp: Any, x: Any, alpha: float) -> Any:
    return xp.where(x > 0, 1.0, alpha * xp.exp(xp.minimum(x, 0.0)))


def _softplus(xp: Any, x: Any, beta: float, threshold: float) -> Any:
    scaled = beta * x
    return xp.where(scaled > threshold, x, xp.log1p(xp.exp(xp.minimum(scaled, threshold))) / beta)


def _gelu(xp: Any, x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + xp.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + erf(xp, x * math.sqrt(0.5)))


def _gelu_slope(xp: Any, x: Any, y: Any, approximate: str) -> Any:
    if approximate == "tanh":
        rate = math.sqrt(2.0 / math.pi)
        t = xp.tanh(rate * (x + 0.044715 * x * x * x))
        return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * rate * (1.0 + 3 * 0.044715 * x * x)
    density = xp.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return 0.5 * (1.0 + erf(xp, x * math.sqrt(0.5))) + x * density


def _silu_slope(xp: Any, x: Any, y: Any) -> Any:
    s = _sigmoid(xp, x)
    return s * (1.0 + x * (1.0 - s))


def _mish_slope(xp: Any, x: Any, y: Any) -> Any:
    t = xp.tanh(_softplus(xp, x, 1.0, 20.0))
    return t + x * _sigmoid(xp, x) * (1.0 - t * t)


FORMULAS: dict[str, Formula] = {
    "tanh": Formula(
        value=lambda xp, x: xp.tanh(x),
        slope=lambda xp, x, y: 1.0 - y * y,
        uses="output",
    ),
    "lecun_tanh": Formula(
        value=lambda xp, x: LECUN_SCALE * xp.tanh(LECUN_RATE * x),
        slope=lambda xp, x, y: LECUN_RATE * (LECUN_SCALE - y * y / LECUN_SCALE),
        uses="output",
    ),
    "penalized_tanh": Formula(  # Xu et al. 2016
        value=lambda xp, x, scale: xp.tanh(x) * xp.where(x > 0, 1.0, scale).astype(x.dtype),
        slope=lambda xp, x, y, scale: xp.where(x > 0, 1.0, scale) * (1.0 - xp.tanh(x) ** 2),
        uses="input",
    ),
    "shifted_tanh": Formula(
        value=lambda xp, x, shift: xp.tanh(x + shift),
        slope=lambda xp, x, y, shift: 1.0 - y * y,
        uses="output",
    ),
    "softsign": Formula(
        value=lambda xp, x: x / (1.0 + xp.abs(x)),
        slope=lambda xp, x, y: (1.0 - abs(y)) ** 2,
        uses="output",
    ),
    "sigmoid": Formula(
        value=_sigmoid,
        slope=lambda xp, x, y: y * (1.0 - y),
        uses="output",
    ),
    "hardtanh": Formula(
        value=lambda xp, x, min_val, max_val: xp.clip(x, min_val, max_val),
        slope=lambda xp, x, y, min_val, max_val: (x > min_val) & (x < max_val),
        uses="input",
    ),
    "hardsigmoid": Formula(
        value=lambda xp, x: xp.clip(x / 6.0 + 0.5, 0.0, 1.0),
        slope=lambda xp, x, y: xp.where((x > -3.0) & (x < 3.0), 1.0 / 6.0, 0.0),
        uses="input",
    ),
    "relu6": Formula(
        value=lambda xp, x: xp.clip(x, 0.0, 6.0),
        slope=lambda xp, x, y: (x > 0.0) & (x < 6.0),
        uses="input",
    ),
    "arctan": Formula(
        value=lambda xp, x: xp.arctan(x),
        slope=lambda xp, x, y: 1.0 / (1.0 + x * x),
        uses="input",
    ),
    "erf": Formula(
        value=erf,
        slope=lambda xp, x, y: 2.0 / math.sqrt(math.pi) * xp.exp(-x * x),
        uses="input",
    ),
    "relu": Formula(
        value=lambda xp, x: xp.maximum(x, 0.0),
        slope=lambda xp, x, y: y > 0,
        uses="output",
    ),
    "leaky_relu": Formula(
        value=lambda xp, x, negative_slope: xp.where(x > 0, x, negative_slope * x),
        slope=lambda xp, x, y, negative_slope: xp.where(x > 0, 1.0, negative_slope),
        uses="input",
    ),
    "elu": Formula(
        value=_elu,
        slope=lambda xp, x, y, alpha: _elu_slope(xp, x, alpha),
        uses="input",
    ),
    "selu": Formula(
        value=lambda xp, x: SELU_SCALE * _elu(xp, x, SELU_ALPHA),
        slope=lambda xp, x, y: SELU_SCALE * _elu_slope(xp, x, SELU_ALPHA),
        uses="input",
    ),
    "celu": Formula(
        value=lambda xp, x, alpha: xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0.0) / alpha)),
        slope=lambda xp, x, y, alpha: xp.where(x > 0, 1.0, xp.exp(xp.minimum(x, 0.0) / alpha)),
        uses="input",
    ),
    "gelu": Formula(value=_gelu, slope=_gelu_slope, uses="input"),
    "silu": Formula(
        value=lambda xp, x: x * _sigmoid(xp, x),
        slope=_silu_slope,
        uses="input",
    ),
    "mish": Formula(
        value=lambda xp, x: x * xp.tanh(_softplus(xp, x, 1.0, 20.0)),
        slope=_mish_slope,
        uses="input",
    ),
    "softplus": Formula(
        value=_softplus,
        slope=lambda xp, x, y, beta, threshold: xp.where(beta * x > threshold, 1.0, _sigmoid(xp, beta * x)),
        uses="input",
    ),
    "hardswish": Formula(
        value=lambda xp, x: x * xp.clip(x + 3.0, 0.0, 6.0) / 6.0,
        slope=lambda xp, x, y: xp.where(x <= -3.0, 0.0, xp.where(x >= 3.0, 1.0, x / 3.0 + 0.5)),
        uses="input",
    ),
    "identity": Formula(
        value=lambda xp, x: x,
        slope=lambda xp, x, y: 1.0,
        uses="nothing",
    ),
}

PARAMETERS = {
    "penalized_tanh": ("scale",),
    "shifted_tanh": ("shift",),
    "hardtanh": ("min_val", "max_val"),
    "leaky_relu": ("negative_slope",),
    "elu": ("alpha",),
    "celu": ("alpha",),
    "softplus": ("beta", "threshold"),
}
"""The parameters that are numbers, in the order in which compiled formulas take them."""


def numbers_of(activation: str, parameters: dict[str, Any]) -> tuple[float, float]:
    """Return an activation's parameters as compiled formulas take them: two numbers, whether they are used or not."""
    first, second, *_ = (*(float(parameters[key]) for key in PARAMETERS.get(activation, ())), 0.0, 0.0)
    return first, second


class ActivationKernels:
    """Every activation through its formula."""

    xp: Any

    @in_float32
    def activation(self, name: str, x: Any, parameters: dict[str, Any]) -> Any:
        """Return the activation of that name, of x, in x's dtype."""
        return FORMULAS[name].value(self.xp, x, **parameters)

    @in_float32
    def activation_grad(self, name: str, grad: Any, x: Any, y: Any, parameters: dict[str, Any]) -> Any:
        """Return grad times the slope; x or y may be None where the formula does not use it."""
        return (grad * FORMULAS[name].slope(self.xp, x, y, **parameters)).astype(grad.dtype)

    @bfloat16_in_float32
    def parametric_relu(self, x: Any, weight: Any) -> Any:
        """Return x where positive, weight * x elsewhere; weight broadcasts against x."""
        return self.xp.where(x > 0, x, weight * x)

    @bfloat16_in_float32
    def parametric_relu_grad(self, grad: Any, x: Any, weight: Any) -> tuple[Any, Any]:
        """Return the gradients of x and, not yet summed to its shape, of weight."""
        positive = x > 0
        return self.xp.where(positive, grad, weight * grad), self.xp.where(positive, 0.0, x * grad)
