"""Functions of one operand, element by element. Each class states its function and its derivative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ..autograd import Op
from .selection import where


class Unary(Op):
    """A function of the array module; `slope(x, y)` is its derivative, from input and output."""

    broadcasts = True  # for the promotion of integers
    floating = True
    function: ClassVar[str] = ""
    uses: ClassVar[str] = "input"

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.unary(self.function, x)

    def retained_inputs(self) -> Sequence[int]:
        return (0,) if self.uses == "input" else ()

    def retains_output(self) -> bool:
        return self.uses == "output"

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (grad * self.slope(inputs[0], output),)

    def slope(self, x: Any, y: Any) -> Any:
        """Return the derivative; the one of x and y that is not used is None."""
        raise TypeError(f"{type(self).__name__} must define slope")


class Negative(Op):
    """-x."""

    name = "neg"
    broadcasts = True

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.unary("negative", x)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (-grad,)


class Exp(Unary):
    name, function, uses = "exp", "exp", "output"
    precision = "float32"

    def slope(self, x: Any, y: Any) -> Any:
        return y


class Expm1(Unary):
    """exp(x) - 1, accurate near 0."""

    name, function, uses = "expm1", "expm1", "output"
    precision = "float32"

    def slope(self, x: Any, y: Any) -> Any:
        return y + 1.0


class Log(Unary):
    name, function = "log", "log"
    precision = "float32"

    def slope(self, x: Any, y: Any) -> Any:
        return 1.0 / x


class Log1p(Unary):
    """log(1 + x), accurate near 0."""

    name, function = "log1p", "log1p"
    precision = "float32"

    def slope(self, x: Any, y: Any) -> Any:
        return 1.0 / (1.0 + x)


class Sqrt(Unary):
    name, function, uses = "sqrt", "sqrt", "output"

    def slope(self, x: Any, y: Any) -> Any:
        return 0.5 / y


class Rsqrt(Unary):
    """1 / sqrt(x)."""

    name, uses = "rsqrt", "output"
    precision = "float32"

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.rsqrt(x)

    def slope(self, x: Any, y: Any) -> Any:
        return -0.5 * y * y * y


class Abs(Unary):
    """|x|; the derivative at 0 is 0."""

    name, function, floating = "abs", "absolute", False

    def slope(self, x: Any, y: Any) -> Any:
        return x.sign()


class Sin(Unary):
    name, function = "sin", "sin"

    def slope(self, x: Any, y: Any) -> Any:
        return x.cos()


class Cos(Unary):
    name, function = "cos", "cos"

    def slope(self, x: Any, y: Any) -> Any:
        return -x.sin()


class Tan(Unary):
    name, function, uses = "tan", "tan", "output"
    precision = "float32"

    def slope(self, x: Any, y: Any) -> Any:
        return 1.0 + y * y


class Arcsin(Unary):
    name, function = "arcsin", "arcsin"
    precision = "float32"

    def slope(self, x: Any, y: Any) -> Any:
        return (1.0 - x * x).rsqrt()


class Arccos(Unary):
    name, function = "arccos", "arccos"
    precision = "float32"

    def slope(self, x: Any, y: Any) -> Any:
        return -(1.0 - x * x).rsqrt()


class Arctan(Unary):
    name, function = "arctan", "arctan"

    def slope(self, x: Any, y: Any) -> Any:
        return 1.0 / (1.0 + x * x)


class Sinh(Unary):
    name, function = "sinh", "sinh"
    precision = "float32"

    def slope(self, x: Any, y: Any) -> Any:
        return x.cosh()


class Cosh(Unary):
    name, function = "cosh", "cosh"
    precision = "float32"

    def slope(self, x: Any, y: Any) -> Any:
        return x.sinh()


class Tanh(Unary):
    name, function, uses = "tanh", "tanh", "output"

    def slope(self, x: Any, y: Any) -> Any:
        return 1.0 - y * y


class Arcsinh(Unary):
    name, function = "arcsinh", "arcsinh"

    def slope(self, x: Any, y: Any) -> Any:
        return (x * x + 1.0).rsqrt()


class Arccosh(Unary):
    name, function = "arccosh", "arccosh"

    def slope(self, x: Any, y: Any) -> Any:
        return (x * x - 1.0).rsqrt()


class Arctanh(Unary):
    name, function = "arctanh", "arctanh"

    def slope(self, x: Any, y: Any) -> Any:
        return 1.0 / (1.0 - x * x)


class Erf(Unary):
    """The error function."""

    name = "erf"

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.erf(x)

    def slope(self, x: Any, y: Any) -> Any:
        return 2.0 / math.sqrt(math.pi) * (-x * x).exp()


class Clip(Unary):
    """x limited to [low, high]; the derivative is 1 inside and at the limits, 0 outside."""

    name, floating = "clip", False

    def __init__(self, low: float | None, high: float | None) -> None:
        self.low = low
        self.high = high

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.clip(x, self.low, self.high)

    def slope(self, x: Any, y: Any) -> Any:
        inside = x == x if self.low is None else x >= self.low
        return inside if self.high is None else inside & (x <= self.high)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (where(self.slope(inputs[0], None), grad, 0.0),)


class Step(Op):
    """sign, floor, ceil, round or a logical function: constant between steps, so no gradient flows.

    Args:
        function: the array module's name of it.
    """

    differentiable = False

    def __init__(self, function: str) -> None:
        self.name = self.function = function

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.unary(self.function, x)
