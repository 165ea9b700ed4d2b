"""Arithmetic of two operands, with broadcasting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import Op
from .selection import where


class Add(Op):
    """a + b."""

    name = "add"
    broadcasts = True

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.add(a, b)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return grad, grad


class Subtract(Op):
    """a - b."""

    name = "sub"
    broadcasts = True

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.subtract(a, b)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return grad, -grad if self.needs[1] else None


class Multiply(Op):
    """a * b; each factor is the other's derivative."""

    name = "mul"
    broadcasts = True

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.multiply(a, b)

    def retained_inputs(self) -> Sequence[int]:
        return [other for other, need in ((1, self.needs[0]), (0, self.needs[1])) if need]

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        a, b = inputs
        return grad * b if self.needs[0] else None, grad * a if self.needs[1] else None


class Divide(Op):
    """a / b; integers are divided as float32."""

    name = "div"
    broadcasts = True
    floating = True

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.divide(a, b)

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1) if self.needs[1] else (1,)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        a, b = inputs
        share = grad / b
        return share, -share * a / b if self.needs[1] else None


class Power(Op):
    """a ** b. The derivative is 0 where the exponent is 0, and that of an exponent >= 0 is 0 where the base is 0."""

    name = "pow"
    broadcasts = True
    precision = "float32"

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.power(a, b)

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        a, b = inputs
        grad_a = grad_b = None
        if self.needs[0]:
            if isinstance(b, int | float):
                grad_a = grad * 0.0 if b == 0 else grad * (b * a ** (b - 1))
            else:
                grad_a = grad * where(b == 0, 0.0, b * a ** (b - 1))
        if self.needs[1] and isinstance(a, int | float):
            logarithm = math.log(a) if a > 0 else -math.inf if a == 0 else math.nan
            slope = a**b * logarithm
            grad_b = grad * (slope if a != 0 else where(b >= 0, 0.0, slope))
        elif self.needs[1]:
            flat = (a == 0) & (b >= 0)
            grad_b = grad * where(flat, 0.0, a**b * where(flat, 1.0, a).log())
        return grad_a, grad_b


class Remainder(Op):
    """a % b with the sign of b, as in Python: a - floor(a / b) * b."""

    name = "remainder"
    broadcasts = True

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.remainder(a, b)

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1) if self.needs[1] else ()

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        a, b = inputs
        return grad, -grad * (a / b).floor() if self.needs[1] else None


class FloorDivide(Op):
    """floor(a / b): constant between steps, so no gradient flows."""

    name = "floor_divide"
    broadcasts = True
    differentiable = False

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.floor_divide(a, b)


class _Extremum(Op):
    """Where the operands are equal, each gets half of the gradient; where one is NaN, both get all (PyTorch's rule)."""

    broadcasts = True

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1)

    def share(self, grad: Any, loses: Any, ties: Any) -> Any:
        """Return the part of the gradient for an operand that loses here and ties there."""
        return where(loses, 0.0, where(ties, 0.5 * grad, grad))


class Maximum(_Extremum):
    """The larger of a and b; NaN wins."""

    name = "maximum"

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.maximum(a, b)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        a, b = inputs
        return self.share(grad, a < b, a == b), self.share(grad, a > b, a == b)


class Minimum(_Extremum):
    """The smaller of a and b; NaN wins."""

    name = "minimum"

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.minimum(a, b)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        a, b = inputs
        return self.share(grad, a > b, a == b), self.share(grad, a < b, a == b)


class ArcTan2(Op):
    """The angle of the point (b, a), in radians."""

    name = "arctan2"
    broadcasts = True
    floating = True

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.arctan2(a, b)

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        a, b = inputs
        scaled = grad / (a * a + b * b)
        return scaled * b, -scaled * a


class Compare(Op):
    """A comparison or a logical operation: a result without gradient.

    Args:
        function: the array module's name of it, such as "less" or "bitwise_and".
    """

    broadcasts = True
    differentiable = False

    def __init__(self, function: str) -> None:
        self.name = self.function = function

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.compare(self.function, a, b)
