"""Activation functions: what is known about each, and its definition in primitive operations.

The formulas and slopes on arrays are in `kernels/reference/activations.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..autograd import FusedOp, apply
from ..kernels.reference.activations import FORMULAS, LECUN_RATE, LECUN_SCALE, SELU_ALPHA, SELU_SCALE
from .elementary import Erf, Tanh
from .selection import where


@dataclass(frozen=True)
class Traits:
    """What is known about an activation with its default parameters.

    Attributes:
        lower, upper: infimum and supremum of its values; infinite where it is unbounded on that side.
        monotone: never decreasing.
        lipschitz: the largest absolute slope.
        at_zero: its value at 0.
        left, right: its limits as the input goes to minus and plus infinity (its asymptotes where finite).
    """

    lower: float
    upper: float
    monotone: bool
    lipschitz: float
    at_zero: float
    left: float
    right: float

    @property
    def bounded(self) -> bool:
        """Whether all values lie in a finite interval."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)


_INF = math.inf


def _monotone(left: float, right: float, lipschitz: float, at_zero: float = 0.0) -> Traits:
    return Traits(left, right, True, lipschitz, at_zero, left, right)


TRAITS: dict[str, Traits] = {
    "tanh": _monotone(-1.0, 1.0, 1.0),
    "lecun_tanh": _monotone(-LECUN_SCALE, LECUN_SCALE, LECUN_SCALE * LECUN_RATE),
    "penalized_tanh": _monotone(-0.25, 1.0, 1.0),
    "shifted_tanh": _monotone(-1.0, 1.0, 1.0, math.tanh(1.0)),
    "softsign": _monotone(-1.0, 1.0, 1.0),
    "sigmoid": _monotone(0.0, 1.0, 0.25, 0.5),
    "hardtanh": _monotone(-1.0, 1.0, 1.0),
    "hardsigmoid": _monotone(0.0, 1.0, 1.0 / 6.0, 0.5),
    "relu6": _monotone(0.0, 6.0, 1.0),
    "arctan": _monotone(-math.pi / 2, math.pi / 2, 1.0),
    "erf": _monotone(-1.0, 1.0, 2.0 / math.sqrt(math.pi)),
    "relu": _monotone(0.0, _INF, 1.0),
    "leaky_relu": _monotone(-_INF, _INF, 1.0),
    "prelu": _monotone(-_INF, _INF, 1.0),
    "rrelu": _monotone(-_INF, _INF, 1.0),
    "elu": _monotone(-1.0, _INF, 1.0),
    "selu": _monotone(-SELU_SCALE * SELU_ALPHA, _INF, SELU_SCALE * SELU_ALPHA),
    "celu": _monotone(-1.0, _INF, 1.0),
    "gelu": Traits(-0.16997120747990366, _INF, False, 1.1289041451851548, 0.0, 0.0, _INF),
    "silu": Traits(-0.27846454276107380, _INF, False, 1.0998393201288669, 0.0, 0.0, _INF),
    "mish": Traits(-0.30884341301725041, _INF, False, 1.0884981612517279, 0.0, 0.0, _INF),
    "softplus": _monotone(0.0, _INF, 1.0, math.log(2.0)),
    "hardswish": Traits(-0.375, _INF, False, 1.5, 0.0, 0.0, _INF),
    "identity": _monotone(-_INF, _INF, 1.0),
}


def _tanh(x: Any) -> Any:
    return apply(Tanh(), x)


def _positive(x: Any, negative: Any) -> Any:
    """x where positive, another tensor or number elsewhere."""
    return where(x > 0, x, negative)


def _sigmoid(x: Any) -> Any:
    # Two forms, so that no exponential overflows: an infinity would turn its derivative into NaN.
    negative = x < 0
    small, large = where(negative, x, 0.0).exp(), where(negative, 0.0, -x).exp()
    return where(negative, small / (1.0 + small), 1.0 / (1.0 + large))


def _elu(x: Any, alpha: float) -> Any:
    return _positive(x, alpha * where(x > 0, 0.0, x).expm1())


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    linear = beta * x > threshold
    return where(linear, x, where(linear, 0.0, beta * x).exp().log1p() / beta)


def _gelu(x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + _tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1.0 + apply(Erf(), x * math.sqrt(0.5)))


def _limited(inside: Any, value: Any) -> Any:
    """`value` where strictly inside the limits; beyond them the constant that it is there, with slope 0."""
    return where(inside, value, value.detach())


def _hardtanh(x: Any, min_val: float, max_val: float) -> Any:
    return _limited((x > min_val) & (x < max_val), x.clip(min_val, max_val))


def _hardswish(x: Any) -> Any:
    return where(x >= 3.0, x, where(x > -3.0, x * (x + 3.0) / 6.0, 0.0))


_EXPANSIONS: dict[str, Callable[..., Any]] = {
    "tanh": _tanh,
    "lecun_tanh": lambda x: LECUN_SCALE * _tanh(LECUN_RATE * x),
    "penalized_tanh": lambda x, scale: where(x > 0, _tanh(x), scale * _tanh(x)),
    "shifted_tanh": lambda x, shift: _tanh(x + shift),
    "softsign": lambda x: x / (1.0 + x.abs()),
    "sigmoid": _sigmoid,
    "hardtanh": _hardtanh,
    "hardsigmoid": lambda x: _limited((x > -3.0) & (x < 3.0), (x / 6.0 + 0.5).clip(0.0, 1.0)),
    "relu6": lambda x: _hardtanh(x, 0.0, 6.0),
    "relu": lambda x: _positive(x, 0.0),
    "leaky_relu": lambda x, negative_slope: _positive(x, negative_slope * x),
    "arctan": lambda x: x.arctan(),
    "erf": lambda x: apply(Erf(), x),
    "elu": _elu,
    "selu": lambda x: SELU_SCALE * _elu(x, SELU_ALPHA),
    "celu": lambda x, alpha: _positive(x, alpha * (where(x > 0, 0.0, x) / alpha).expm1()),
    "gelu": _gelu,
    "silu": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * _tanh(_softplus(x)),
    "softplus": _softplus,
    "hardswish": _hardswish,
    "identity": lambda x: x.alias(),
}


class Activation(FusedOp):
    """One of the activation functions of a single input.

    Args:
        name: its name in FORMULAS.
        parameters: the formula's parameters, such as negative_slope.
    """

    def __init__(self, name: str, parameters: dict[str, Any]) -> None:
        self.name = name
        self.parameters = parameters
        self.formula = FORMULAS[name]
        self.is_view = name == "identity"
        self.precision = "float32" if name == "softplus" else ""

    def forward(self, kernels: Any, x: Any) -> Any:
        return x if self.is_view else kernels.activation(self.name, x, self.parameters)

    def retained_inputs(self) -> Sequence[int]:
        return (0,) if self.formula.uses == "input" else ()

    def retains_output(self) -> bool:
        return self.formula.uses == "output"

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        if self.formula.uses == "input":
            return super().backward(grad, inputs, output)
        # A slope that needs the output only is plain arithmetic: it serves Tensors as it serves arrays.
        return (grad * self.formula.slope(None, None, output, **self.parameters),)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (kernels.activation_grad(self.name, grad, inputs[0], output, self.parameters),)

    def expand(self, x: Any) -> Any:
        return _EXPANSIONS[self.name](x, **self.parameters)


class ParametricReLU(FusedOp):
    """x where positive, weight * x elsewhere; the weight broadcasts against x (He et al. 2015)."""

    name = "prelu"
    broadcasts = True

    def forward(self, kernels: Any, x: Any, weight: Any) -> Any:
        return kernels.parametric_relu(x, weight)

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return kernels.parametric_relu_grad(grad, *inputs)  # type: ignore[no-any-return]

    def expand(self, x: Any, weight: Any) -> Any:
        return _positive(x, weight * x)
