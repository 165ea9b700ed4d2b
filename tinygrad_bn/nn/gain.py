"""How much an activation shrinks what passes through it, and so how much larger the weights before it should be."""

from __future__ import annotations

import math

import numpy as np

from ..autograd import no_grad
from ..checks import as_number
from ..errors import unknown_choice
from ..functional import ACTIVATIONS
from ..tensor import Tensor

_FIXED = {
    "linear": 1.0,
    "identity": 1.0,
    "conv2d": 1.0,
    "conv_transpose2d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4.0,
}
"""PyTorch's values, kept so that weights agree with it. Those of sigmoid, tanh and selu follow no formula."""


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that an initialiser multiplies the weights' standard deviation with.

    Where `torch.nn.init.calculate_gain` knows the name, it is PyTorch's value. For every other activation f it is

        1 / sqrt(E[f(z)^2]),  z ~ N(0, 1),

    with f's default parameters: the factor that keeps the mean square of the signal (He et al. 2015, section 2.2; for
    relu the formula gives the same sqrt(2)).

    Args:
        nonlinearity: an activation's name; also "linear", "conv2d", "conv_transpose2d".
        param: the negative slope of leaky_relu, 0.01 by default; others ignore it.

    >>> round(calculate_gain("relu"), 4), round(calculate_gain("softsign"), 4)
    (1.4142, 2.3375)
    """
    if not isinstance(nonlinearity, str) or nonlinearity not in {*_FIXED, *ACTIVATIONS}:
        raise unknown_choice("calculate_gain", "nonlinearity", nonlinearity, {**_FIXED, **ACTIVATIONS})
    if nonlinearity in _FIXED:
        return _FIXED[nonlinearity]
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else as_number("calculate_gain", "param", param)
        return math.sqrt(2.0 / (1.0 + slope**2))
    return 1.0 / math.sqrt(_mean_square(nonlinearity))


def _mean_square(name: str) -> float:
    """Return E[f(z)^2] by the trapezoidal rule, split at 0, where most kinks are."""
    half = np.linspace(0.0, 12.0, 60_001)
    z = np.concatenate([-half[::-1], half])
    with no_grad():
        values = ACTIVATIONS[name].function(Tensor(z)).numpy()
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return float(np.trapezoid(values * values * density, z))
