"""Formulas of activation functions that rest on exponentials, float32: (value, slope), see `formulas`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..reference.activations import LECUN_RATE, LECUN_SCALE, SELU_ALPHA, SELU_SCALE
from .transcendental import arctan, compiled_as_written, erf, exp, expm1, log1p, normal_density_and_mass, tanh

_f = np.float32
_ZERO, _HALF, _ONE, _TWO, _FOUR = map(_f, (0.0, 0.5, 1.0, 2.0, 4.0))
_LECUN_SCALE, _LECUN_RATE, _SELU_SCALE, _SELU_ALPHA = map(_f, (LECUN_SCALE, LECUN_RATE, SELU_SCALE, SELU_ALPHA))
_DENSITY_AT_ZERO = _f(1.0 / math.sqrt(2.0 * math.pi))
_ERF_SLOPE_AT_ZERO = _f(2.0 / math.sqrt(math.pi))
_GELU_RATE, _GELU_CUBIC, _GELU_CUBIC_SLOPE = _f(math.sqrt(2.0 / math.pi)), _f(0.044715), _f(3 * 0.044715)
_MISH_LINEAR = _f(20.0)


@compiled_as_written
def _logistic(x: Any) -> Any:
    return _ONE / (_ONE + exp(-x))


@compiled_as_written
def _gelu_tanh(x: Any) -> Any:
    return tanh(_GELU_RATE * (x + _GELU_CUBIC * x * x * x))


@compiled_as_written
def _plain_tanh(x: Any, p: Any, q: Any) -> Any:
    return tanh(x)


@compiled_as_written
def _tanh_slope(y: Any, p: Any, q: Any) -> Any:
    return _ONE - y * y


@compiled_as_written
def _lecun_tanh(x: Any, p: Any, q: Any) -> Any:
    return _LECUN_SCALE * tanh(_LECUN_RATE * x)


@compiled_as_written
def _lecun_tanh_slope(y: Any, p: Any, q: Any) -> Any:
    return _LECUN_RATE * (_LECUN_SCALE - y * y / _LECUN_SCALE)


@compiled_as_written
def _penalized_tanh(x: Any, p: Any, q: Any) -> Any:
    return tanh(x) * (_ONE if x > _ZERO else p)


@compiled_as_written
def _penalized_tanh_slope(x: Any, p: Any, q: Any) -> Any:
    t = tanh(x)
    return (_ONE - t * t) * (_ONE if x > _ZERO else p)


@compiled_as_written
def _shifted_tanh(x: Any, p: Any, q: Any) -> Any:
    return tanh(x + p)


@compiled_as_written
def _sigmoid(x: Any, p: Any, q: Any) -> Any:
    return _logistic(x)


@compiled_as_written
def _sigmoid_slope(y: Any, p: Any, q: Any) -> Any:
    return y * (_ONE - y)


@compiled_as_written
def _plain_arctan(x: Any, p: Any, q: Any) -> Any:
    return arctan(x)


@compiled_as_written
def _arctan_slope(x: Any, p: Any, q: Any) -> Any:
    return _ONE / (_ONE + x * x)


@compiled_as_written
def _plain_erf(x: Any, p: Any, q: Any) -> Any:
    return erf(x)


@compiled_as_written
def _erf_slope(x: Any, p: Any, q: Any) -> Any:
    return _ERF_SLOPE_AT_ZERO * exp(-x * x)


@compiled_as_written
def _elu(x: Any, p: Any, q: Any) -> Any:
    below = p * expm1(_ZERO if x > _ZERO else x)
    return x if x > _ZERO else below


@compiled_as_written
def _elu_slope(x: Any, p: Any, q: Any) -> Any:
    below = p * exp(_ZERO if x > _ZERO else x)
    return _ONE if x > _ZERO else below


@compiled_as_written
def _selu(x: Any, p: Any, q: Any) -> Any:
    return _SELU_SCALE * _elu(x, _SELU_ALPHA, q)


@compiled_as_written
def _selu_slope(x: Any, p: Any, q: Any) -> Any:
    return _SELU_SCALE * _elu_slope(x, _SELU_ALPHA, q)


@compiled_as_written
def _celu(x: Any, p: Any, q: Any) -> Any:
    below = p * expm1((_ZERO if x > _ZERO else x) / p)
    return x if x > _ZERO else below


@compiled_as_written
def _celu_slope(x: Any, p: Any, q: Any) -> Any:
    below = exp((_ZERO if x > _ZERO else x) / p)
    return _ONE if x > _ZERO else below


@compiled_as_written
def _gelu(x: Any, p: Any, q: Any) -> Any:
    _, below = normal_density_and_mass(x)
    return x * below


@compiled_as_written
def _gelu_slope(x: Any, p: Any, q: Any) -> Any:
    bell, below = normal_density_and_mass(x)
    return below + x * (bell * _DENSITY_AT_ZERO)


@compiled_as_written
def _gelu_by_tanh(x: Any, p: Any, q: Any) -> Any:
    return _HALF * x * (_ONE + _gelu_tanh(x))


@compiled_as_written
def _gelu_by_tanh_slope(x: Any, p: Any, q: Any) -> Any:
    t = _gelu_tanh(x)
    inner = _GELU_RATE * (_ONE + _GELU_CUBIC_SLOPE * x * x)
    return _HALF * (_ONE + t) + _HALF * x * (_ONE - t * t) * inner


@compiled_as_written
def _silu(x: Any, p: Any, q: Any) -> Any:
    return x * _logistic(x)


@compiled_as_written
def _silu_slope(x: Any, p: Any, q: Any) -> Any:
    s = _logistic(x)
    return s * (_ONE + x * (_ONE - s))


@compiled_as_written
def _mish(x: Any, p: Any, q: Any) -> Any:
    # tanh(ln(1 + e)) = w / (w + 2) with w = (1 + e)^2 - 1
    e = exp(_MISH_LINEAR if x > _MISH_LINEAR else x)
    w = e * (e + _TWO)
    return x * (w / (w + _TWO))


@compiled_as_written
def _mish_slope(x: Any, p: Any, q: Any) -> Any:
    z = _MISH_LINEAR if x > _MISH_LINEAR else x
    e = exp(z)
    w = e * (e + _TWO)
    rest = _ONE / (w + _TWO)
    return w * rest + z * (_FOUR * (e * rest) * ((_ONE + e) * rest))


@compiled_as_written
def _softplus(x: Any, p: Any, q: Any) -> Any:
    scaled = p * x
    curved = ((scaled if scaled > _ZERO else _ZERO) + log1p(exp(-abs(scaled)))) / p
    return x if scaled > q else curved


@compiled_as_written
def _softplus_slope(x: Any, p: Any, q: Any) -> Any:
    s = _logistic(p * x)
    return _ONE if p * x > q else s


SMOOTH: dict[str, tuple[Any, Any]] = {
    "tanh": (_plain_tanh, _tanh_slope),
    "lecun_tanh": (_lecun_tanh, _lecun_tanh_slope),
    "penalized_tanh": (_penalized_tanh, _penalized_tanh_slope),
    "shifted_tanh": (_shifted_tanh, _tanh_slope),
    "sigmoid": (_sigmoid, _sigmoid_slope),
    "arctan": (_plain_arctan, _arctan_slope),
    "erf": (_plain_erf, _erf_slope),
    "elu": (_elu, _elu_slope),
    "selu": (_selu, _selu_slope),
    "celu": (_celu, _celu_slope),
    "gelu": (_gelu, _gelu_slope),
    "gelu tanh": (_gelu_by_tanh, _gelu_by_tanh_slope),
    "silu": (_silu, _silu_slope),
    "mish": (_mish, _mish_slope),
    "softplus": (_softplus, _softplus_slope),
}
