"""Initial values of parameters, drawn on the host and written in place; PyTorch's names and formulas.

Every draw comes from the generator that is passed, by default the one that `tg.manual_seed` seeds, so a seed means
the same weights on every device.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..backend import Generator, default_generator
from ..checks import as_number
from ..dtypes import is_floating
from ..errors import ArgumentError, DTypeError, ShapeError, explain, unknown_choice
from ..tensor import Tensor
from .gain import calculate_gain

__all__ = [
    "calculate_fans",
    "calculate_gain",
    "constant_",
    "default_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def calculate_fans(tensor: Tensor) -> tuple[int, int]:
    """Return (fan_in, fan_out): how many inputs feed one output, and how many outputs one input feeds.

    For a weight (out, in, KH, KW) or (out, in): in * KH * KW and out * KH * KW.
    """
    if _checked("fan_in and fan_out", tensor).ndim < 2:
        raise ShapeError(explain("fan_in and fan_out", "a tensor of at least 2 axes", f"shape {tensor.shape}"))
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive_field, tensor.shape[0] * receptive_field


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with values uniform in [a, b)."""
    shape = _checked("uniform_", tensor).shape
    low, high = as_number("uniform_", "a", a), as_number("uniform_", "b", b)
    if not low <= high:
        raise ArgumentError(explain("uniform_", "a <= b", f"a={a}, b={b}"))
    return _fill("uniform_", tensor, (generator or default_generator).uniform(shape, low, high))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normally distributed values."""
    shape = _checked("normal_", tensor).shape
    centre, spread = as_number("normal_", "mean", mean), as_number("normal_", "std", std, at_least=0.0)
    return _fill("normal_", tensor, (generator or default_generator).normal(shape, centre, spread))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with values of the normal distribution cut off at a and b (absolute, not in standard deviations).

    Values outside are drawn again until all lie inside.
    """
    shape = _checked("trunc_normal_", tensor).shape
    mean, std, a, b = (
        as_number("trunc_normal_", name, value) for name, value in (("mean", mean), ("std", std), ("a", a), ("b", b))
    )
    if not std > 0 or not a < b or a > mean + 4 * std or b < mean - 4 * std:
        raise ArgumentError(
            explain("trunc_normal_", "std > 0 and a < b, an interval near the mean", f"{mean=}, {std=}, {a=}, {b=}")
        )
    stream = generator or default_generator
    values = stream.normal(shape, mean, std)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = stream.normal((int(outside.sum()),), mean, std)
    return _fill("trunc_normal_", tensor, values)


def constant_(tensor: Tensor, value: float) -> Tensor:
    """Fill with one value."""
    return _fill("constant_", tensor, as_number("constant_", "value", value))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return _fill("zeros_", tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return _fill("ones_", tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill uniformly within gain * sqrt(6 / (fan_in + fan_out)) of 0 (Glorot & Bengio 2010)."""
    bound = as_number("xavier_uniform_", "gain", gain) * math.sqrt(6.0 / _checked_fan(sum(calculate_fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill normally with standard deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    std = as_number("xavier_normal_", "gain", gain) * math.sqrt(2.0 / _checked_fan(sum(calculate_fans(tensor))))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill uniformly within gain * sqrt(3 / fan) of 0 (He et al. 2015).

    Args:
        tensor: of at least 2 axes.
        a: the negative slope of leaky_relu, which decides the gain; other activations ignore it.
        mode: "fan_in" keeps the variance forward, "fan_out" backward.
        nonlinearity: an activation, for `calculate_gain`.
        generator: where the values are drawn from.
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill normally with standard deviation gain / sqrt(fan) (He et al. 2015); arguments as in kaiming_uniform_."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def lecun_uniform_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Fill uniformly within sqrt(3 / fan_in) of 0 (LeCun et al. 1998, "Efficient BackProp")."""
    bound = math.sqrt(3.0 / _checked_fan(calculate_fans(tensor)[0]))
    return uniform_(tensor, -bound, bound, generator)


def lecun_normal_(tensor: Tensor, generator: Generator | None = None) -> Tensor:
    """Fill normally with standard deviation 1 / sqrt(fan_in) (LeCun et al. 1998; selu asks for this one)."""
    return normal_(tensor, 0.0, math.sqrt(1.0 / _checked_fan(calculate_fans(tensor)[0])), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill so that the rows (or, of a tall matrix, the columns) are orthogonal and of length gain (Saxe et al. 2014).

    A weight of more than 2 axes counts as a matrix of shape[0] rows.
    """
    _checked("orthogonal_", tensor)
    factor = as_number("orthogonal_", "gain", gain)
    rows, columns = tensor.shape[0] if tensor.ndim else 0, math.prod(tensor.shape[1:])
    if tensor.ndim < 2 or tensor.size == 0:
        raise ShapeError(explain("orthogonal_", "a tensor of at least 2 axes, not empty", f"shape {tensor.shape}"))
    tall = (generator or default_generator).normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diag(r))  # makes the draw uniform over the orthogonal matrices (Mezzadri 2007)
    return _fill("orthogonal_", tensor, factor * (q if rows >= columns else q.T).reshape(tensor.shape))


def default_(weight: Tensor, bias: Tensor | None = None, generator: Generator | None = None) -> None:
    """Fill weight and bias as PyTorch's Linear and Conv2d do: uniform within 1 / sqrt(fan_in) of 0."""
    kaiming_uniform_(weight, a=math.sqrt(5.0), generator=generator)
    if bias is not None:
        bound = 1.0 / math.sqrt(calculate_fans(weight)[0])
        uniform_(bias, -bound, bound, generator)


def _kaiming_std(where: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise unknown_choice(where, "mode", mode, ("fan_in", "fan_out"))
    fan = calculate_fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(_checked_fan(fan))


def _checked_fan(fan: int) -> int:
    if fan < 1:
        raise ShapeError(explain("initialisation", "a tensor that is not empty", "one without elements"))
    return fan


def _checked(where: str, tensor: Any) -> Tensor:
    if not isinstance(tensor, Tensor) or not is_floating(tensor.dtype):
        got = str(tensor.dtype) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise DTypeError(explain(where, "a floating-point Tensor", got))
    return tensor


def _fill(where: str, tensor: Tensor, values: Any) -> Tensor:
    _checked(where, tensor)
    with no_grad():
        return tensor.assign_(Tensor(values, dtype=tensor.dtype, device=tensor.device))
