"""Activation functions, bounded and unbounded, and what is known about each.

Where a function exists in `torch.nn.functional`, name, argument order, defaults and the choice of slope at kinks are
the same. Every function takes a floating-point tensor of any shape and returns one of the same shape and dtype.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..autograd import apply, autocast_operands
from ..backend import default_generator, fed
from ..checks import as_bool, as_number
from ..errors import ArgumentError, DTypeError, ShapeError, explain, unknown_choice
from ..kernels.reference.activations import FORMULAS
from ..tensor import Tensor
from .arguments import check_floating, no_inplace


def _activation(name: str, input: Any, **parameters: Any) -> Tensor:
    x = check_floating(name, "input", input)
    result: Tensor = apply(ops.Activation(name, _checked(name, parameters)), x)
    return result


def _checked(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return an activation's parameters as Python numbers."""
    numbers = {key: v if key == "approximate" else as_number(name, key, v) for key, v in parameters.items()}
    if name == "hardtanh" and not numbers["min_val"] < numbers["max_val"]:
        raise ArgumentError(
            explain("hardtanh", "min_val < max_val", f"{parameters['min_val']} and {parameters['max_val']}")
        )
    if name == "celu" and numbers["alpha"] == 0:
        raise ArgumentError(explain("celu", "alpha other than 0", "0"))
    if name == "softplus" and not numbers["beta"] > 0:
        raise ArgumentError(explain("softplus", "beta > 0", repr(parameters["beta"])))
    if name == "gelu" and numbers["approximate"] not in ("none", "tanh"):
        raise unknown_choice("gelu", "approximate", numbers["approximate"], ("none", "tanh"))
    return numbers


def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangent; bounded, in (-1, 1)."""
    return _activation("tanh", input)


def lecun_tanh(input: Tensor) -> Tensor:
    """Return 1.7159 tanh(2x/3); bounded (LeCun et al. 1998, "Efficient BackProp")."""
    return _activation("lecun_tanh", input)


def penalized_tanh(input: Tensor, scale: float = 0.25) -> Tensor:
    """Return tanh(x) where positive, scale * tanh(x) elsewhere; bounded (Xu et al. 2016)."""
    return _activation("penalized_tanh", input, scale=scale)


def shifted_tanh(input: Tensor, shift: float = 1.0) -> Tensor:
    """Return tanh(x + shift); bounded, and asymmetric around 0, which a following BatchNorm cannot undo."""
    return _activation("shifted_tanh", input, shift=shift)


def softsign(input: Tensor) -> Tensor:
    """Return x / (1 + |x|); bounded, in (-1, 1), with slowly reached asymptotes."""
    return _activation("softsign", input)


def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)); bounded, in (0, 1)."""
    return _activation("sigmoid", input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x limited to [min_val, max_val]; bounded. The slope at the limits is 0."""
    no_inplace("hardtanh", inplace)
    return _activation("hardtanh", input, min_val=min_val, max_val=max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x / 6 + 1/2 limited to [0, 1]; bounded. The slope at the limits is 0."""
    no_inplace("hardsigmoid", inplace)
    return _activation("hardsigmoid", input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x limited to [0, 6]; bounded. The slope at the limits is 0."""
    no_inplace("relu6", inplace)
    return _activation("relu6", input)


def arctan(input: Tensor) -> Tensor:
    """Return the inverse tangent; bounded, in (-pi/2, pi/2)."""
    return _activation("arctan", input)


def erf(input: Tensor) -> Tensor:
    """Return the error function; bounded, in (-1, 1)."""
    return _activation("erf", input)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return max(x, 0); unbounded. The slope at 0 is 0."""
    no_inplace("relu", inplace)
    return _activation("relu", input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return x where positive, negative_slope * x elsewhere; unbounded."""
    no_inplace("leaky_relu", inplace)
    return _activation("leaky_relu", input, negative_slope=negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return x where positive, weight * x elsewhere; unbounded (He et al. 2015).

    Args:
        input: (N, C, ...) or of any shape.
        weight: one value, or one per channel (axis 1).
    """
    input, weight = autocast_operands("half", input, weight)
    x = check_floating("prelu", "input", input)
    slope = check_floating("prelu", "weight", weight)
    if slope.dtype != x.dtype:
        raise DTypeError(explain("prelu", f"weight of the input's dtype {x.dtype}", str(slope.dtype), "use astype"))
    if slope.size != 1 and (x.ndim < 2 or slope.shape != (x.shape[1],)):
        raise ShapeError(explain("prelu", "weight of one value, or one per channel (axis 1)", f"shape {slope.shape}"))
    shape = (1, -1) + (1,) * (x.ndim - 2) if slope.size != 1 else (1,) * x.ndim
    result: Tensor = apply(ops.ParametricReLU(), x, slope.reshape(shape))
    return result


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Return x where positive, a * x elsewhere; unbounded (Xu et al. 2015).

    In training, a is drawn for every element, uniform in [lower, upper), on the host from the default generator; in
    evaluation it is (lower + upper) / 2.
    """
    no_inplace("rrelu", inplace)
    training = as_bool("rrelu", "training", training)
    x = check_floating("rrelu", "input", input)
    lower, upper = as_number("rrelu", "lower", lower), as_number("rrelu", "upper", upper)
    if not lower <= upper:
        raise ArgumentError(explain("rrelu", "lower <= upper", f"{lower} and {upper}"))
    if not training:
        return _activation("leaky_relu", x, negative_slope=(lower + upper) / 2)
    shape, dtype = x.shape, x.dtype
    slopes = fed(x.device, lambda: _random_slopes(shape, lower, upper, dtype))
    result: Tensor = apply(ops.ParametricReLU(), x, x.wrap(slopes))
    return result


def _random_slopes(shape: tuple[int, ...], lower: float, upper: float, dtype: Any) -> np.ndarray:
    with np.errstate(over="ignore"):  # of float16
        slopes: np.ndarray = default_generator.uniform(shape, lower, upper).astype(dtype)
    return slopes


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x where positive, alpha * (exp(x) - 1) elsewhere; unbounded above (Clevert et al. 2015)."""
    no_inplace("elu", inplace)
    return _activation("elu", input, alpha=alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return 1.0507 * elu(x, 1.6733); unbounded above, self-normalising (Klambauer et al. 2017)."""
    no_inplace("selu", inplace)
    return _activation("selu", input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x where positive, alpha * (exp(x / alpha) - 1) elsewhere; unbounded above (Barron 2017)."""
    no_inplace("celu", inplace)
    return _activation("celu", input, alpha=alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return x times the normal distribution function of x; unbounded above (Hendrycks & Gimpel 2016).

    Args:
        input: of any shape.
        approximate: "none", or "tanh" for the authors' approximation.
    """
    return _activation("gelu", input, approximate=approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x * sigmoid(x), also called swish; unbounded above (Elfwing et al. 2017)."""
    no_inplace("silu", inplace)
    return _activation("silu", input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x * tanh(softplus(x)); unbounded above (Misra 2019)."""
    no_inplace("mish", inplace)
    return _activation("mish", input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return log(1 + exp(beta x)) / beta, and x itself where beta x > threshold; unbounded above."""
    return _activation("softplus", input, beta=beta, threshold=threshold)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x * relu6(x + 3) / 6; unbounded above (Howard et al. 2019)."""
    no_inplace("hardswish", inplace)
    return _activation("hardswish", input)


def identity(input: Tensor) -> Tensor:
    """Return x, as a node of its own; unbounded: a network without activations, for comparison."""
    return _activation("identity", input)


@dataclass(frozen=True)
class Activation(ops.Traits):
    """An activation function and what is known about it; see `ops.Traits` for the numbers.

    Attributes:
        name: its name in this module.
        function: the function, with its default parameters.
    """

    name: str
    function: Callable[..., Tensor]


def _prelu_default(input: Tensor) -> Tensor:
    """PReLU with the slope 0.25 that `nn.PReLU` starts from."""
    return prelu(input, input.wrap(input.device.use().full((1,), 0.25, dtype=input.dtype)))


_FUNCTIONS: tuple[Callable[..., Tensor], ...] = (
    tanh,
    lecun_tanh,
    penalized_tanh,
    shifted_tanh,
    softsign,
    sigmoid,
    hardtanh,
    hardsigmoid,
    relu6,
    arctan,
    erf,
    relu,
    leaky_relu,
    prelu,
    rrelu,
    elu,
    selu,
    celu,
    gelu,
    silu,
    mish,
    softplus,
    hardswish,
    identity,
)

ACTIVATIONS: dict[str, Activation] = {
    f.__name__: Activation(
        **vars(ops.TRAITS[f.__name__]), name=f.__name__, function=_prelu_default if f is prelu else f
    )
    for f in _FUNCTIONS
}
"""Every activation by its name; the bounded ones first."""


def get_activation(name: str) -> Activation:
    """Return an activation by its name.

    Raises:
        ArgumentError: there is none of that name; the message lists them.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise unknown_choice("activation", "its name", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def formula_parameters(where: str, name: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of an activation's formula: those given, checked, and the others' default values.

    Raises:
        ArgumentError: there is no activation of that name, it has no fixed formula (a trained or random slope), or no
            such parameter.
    """
    if not isinstance(name, str) or name not in FORMULAS:
        if name in ("prelu", "rrelu"):
            expected, remedy = "an activation with fixed parameters", f"call batch_norm and {name} one after the other"
            raise ArgumentError(explain(where, expected, repr(name), remedy))
        raise unknown_choice(where, "activation", name, FORMULAS)
    defaults = _defaults(name)
    for key in given:
        if key not in defaults:
            raise ArgumentError(explain(where, f"parameters of {name} ({', '.join(defaults) or 'none'})", repr(key)))
    return _checked(name, {**defaults, **given})


@functools.cache
def _defaults(name: str) -> dict[str, Any]:
    signature = inspect.signature(ACTIVATIONS[name].function).parameters.values()
    return {p.name: p.default for p in signature if p.name not in ("input", "inplace")}
