"""Choosing between two operands element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Op, apply


class Where(Op):
    """a where the condition holds, b elsewhere."""

    name = "where"
    broadcasts = True

    def forward(self, kernels: Any, condition: Any, a: Any, b: Any) -> Any:
        return kernels.where(condition, a, b)

    def retained_inputs(self) -> Sequence[int]:
        return (0,)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        condition = inputs[0]
        return None, where(condition, grad, 0.0), where(condition, 0.0, grad)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition (a bool tensor) holds, b elsewhere; numbers take the other operand's dtype."""
    return apply(Where(), condition, a, b)
