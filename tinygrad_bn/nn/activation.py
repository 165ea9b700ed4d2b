"""A module for every activation function; the functions themselves are in `functional`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from .. import functional as F
from ..checks import as_index
from ..creation import full
from ..errors import ArgumentError, explain, unknown_choice
from ..functional.arguments import no_inplace
from ..tensor import Tensor
from .module import Module
from .parameter import Parameter


class Activation(Module):
    """An activation function with fixed parameters; the base of the modules below.

    Attributes:
        function: the function of the input and these parameters.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, inplace: bool = False, **parameters: Any) -> None:
        super().__init__()
        where, accepted = type(self).__name__, inspect.signature(type(self).function).parameters
        no_inplace(where, inplace)
        for name, value in parameters.items():
            if name not in accepted:
                raise ArgumentError(explain(where, "parameters that the function has", f"{name}={value!r}"))
        self._settings = tuple(parameters)
        for name, value in parameters.items():
            setattr(self, name, value)

    def forward(self, input: Tensor) -> Tensor:
        """Return the function of the input, in its shape."""
        return type(self).function(input, **self.function_parameters())

    def function_parameters(self) -> dict[str, Any]:
        """Return the function's parameters by name."""
        return {name: getattr(self, name) for name in self._settings}

    def extra_repr(self) -> str:
        """Return the function's parameters."""
        return ", ".join(f"{name}={value!r}" for name, value in self.function_parameters().items())


class Tanh(Activation):
    """The hyperbolic tangent; bounded, in (-1, 1)."""

    function = staticmethod(F.tanh)


class LeCunTanh(Activation):
    """1.7159 tanh(2x/3); bounded."""

    function = staticmethod(F.lecun_tanh)


class PenalizedTanh(Activation):
    """tanh(x) where positive, scale * tanh(x) elsewhere; bounded."""

    function = staticmethod(F.penalized_tanh)

    def __init__(self, scale: float = 0.25) -> None:
        super().__init__(scale=scale)


class ShiftedTanh(Activation):
    """tanh(x + shift); bounded, and asymmetric around 0."""

    function = staticmethod(F.shifted_tanh)

    def __init__(self, shift: float = 1.0) -> None:
        super().__init__(shift=shift)


class Softsign(Activation):
    """x / (1 + |x|); bounded, in (-1, 1)."""

    function = staticmethod(F.softsign)


class Sigmoid(Activation):
    """1 / (1 + exp(-x)); bounded, in (0, 1)."""

    function = staticmethod(F.sigmoid)


class Hardtanh(Activation):
    """x limited to [min_val, max_val]; bounded."""

    function = staticmethod(F.hardtanh)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace, min_val=min_val, max_val=max_val)


class Hardsigmoid(Activation):
    """x / 6 + 1/2 limited to [0, 1]; bounded."""

    function = staticmethod(F.hardsigmoid)


class ReLU6(Activation):
    """x limited to [0, 6]; bounded."""

    function = staticmethod(F.relu6)


class Arctan(Activation):
    """The inverse tangent; bounded, in (-pi/2, pi/2)."""

    function = staticmethod(F.arctan)


class Erf(Activation):
    """The error function; bounded, in (-1, 1)."""

    function = staticmethod(F.erf)


class ReLU(Activation):
    """max(x, 0); unbounded."""

    function = staticmethod(F.relu)


class LeakyReLU(Activation):
    """x where positive, negative_slope * x elsewhere; unbounded."""

    function = staticmethod(F.leaky_relu)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace, negative_slope=negative_slope)


class PReLU(Activation):
    """x where positive, weight * x elsewhere, with a trained weight; unbounded.

    Args:
        num_parameters: 1, or the number of channels (axis 1) for one slope each.
        init: the slope to start from.
    """

    weight: Parameter
    function = staticmethod(F.prelu)

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self._settings = ("num_parameters",)
        self.num_parameters = as_index("PReLU", "num_parameters", num_parameters, 1)
        self.weight = Parameter(full((self.num_parameters,), init))

    def forward(self, input: Tensor) -> Tensor:
        """Return the function of the input, in its shape."""
        return F.prelu(input, self.weight)


class RReLU(Activation):
    """x where positive, a * x elsewhere; in training a is drawn for every element; unbounded."""

    function = staticmethod(F.rrelu)

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__(inplace, lower=lower, upper=upper)

    def forward(self, input: Tensor) -> Tensor:
        """Return the function of the input, in its shape."""
        return F.rrelu(input, self.lower, self.upper, self.training)


class ELU(Activation):
    """x where positive, alpha * (exp(x) - 1) elsewhere; unbounded above."""

    function = staticmethod(F.elu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace, alpha=alpha)


class SELU(Activation):
    """1.0507 * elu(x, 1.6733); unbounded above."""

    function = staticmethod(F.selu)


class CELU(Activation):
    """x where positive, alpha * (exp(x / alpha) - 1) elsewhere; unbounded above."""

    function = staticmethod(F.celu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace, alpha=alpha)


class GELU(Activation):
    """x times the normal distribution function of x; unbounded above."""

    function = staticmethod(F.gelu)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class SiLU(Activation):
    """x * sigmoid(x), also called swish; unbounded above."""

    function = staticmethod(F.silu)


class Mish(Activation):
    """x * tanh(softplus(x)); unbounded above."""

    function = staticmethod(F.mish)


class Softplus(Activation):
    """log(1 + exp(beta x)) / beta, and x itself where beta x > threshold; unbounded above."""

    function = staticmethod(F.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class Hardswish(Activation):
    """x * relu6(x + 3) / 6; unbounded above."""

    function = staticmethod(F.hardswish)


class Identity(Module):
    """The input itself: a placeholder, or a network without activations. Arguments are ignored, as in PyTorch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """Return the input, as a node of its own."""
        return F.identity(input)


ACTIVATIONS: dict[str, type[Module]] = {
    "tanh": Tanh,
    "lecun_tanh": LeCunTanh,
    "penalized_tanh": PenalizedTanh,
    "shifted_tanh": ShiftedTanh,
    "softsign": Softsign,
    "sigmoid": Sigmoid,
    "hardtanh": Hardtanh,
    "hardsigmoid": Hardsigmoid,
    "relu6": ReLU6,
    "arctan": Arctan,
    "erf": Erf,
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "rrelu": RReLU,
    "elu": ELU,
    "selu": SELU,
    "celu": CELU,
    "gelu": GELU,
    "silu": SiLU,
    "mish": Mish,
    "softplus": Softplus,
    "hardswish": Hardswish,
    "identity": Identity,
}
"""The module of every function in `functional.ACTIVATIONS`."""


def activation(name: str, **parameters: Any) -> Module:
    """Return a new module for an activation by the name that the function has in `functional`.

    >>> activation("leaky_relu", negative_slope=0.2)
    LeakyReLU(negative_slope=0.2)

    Raises:
        ArgumentError: there is none of that name (the message lists them), or it has no such parameters.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise unknown_choice("activation", "its name", name, ACTIVATIONS)
    made = ACTIVATIONS[name]
    signature = inspect.signature(made)
    try:
        signature.bind(**parameters)
    except TypeError as error:
        raise ArgumentError(explain("activation", f"parameters of {made.__name__}{signature}", str(error))) from error
    return made(**parameters)
