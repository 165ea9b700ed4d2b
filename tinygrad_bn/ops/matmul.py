"""Matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import FusedOp, Op


class MatMul(Op):
    """a @ b for a (..., M, K) and b (..., K, N); leading axes broadcast."""

    name = "matmul"
    broadcasts = True
    precision = "half"

    def forward(self, kernels: Any, a: Any, b: Any) -> Any:
        return kernels.matmul(a, b)

    def retained_inputs(self) -> Sequence[int]:
        return [other for other, need in ((1, self.needs[0]), (0, self.needs[1])) if need]

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        a, b = inputs
        return (
            grad @ b.swapaxes(-1, -2) if self.needs[0] else None,
            a.swapaxes(-1, -2) @ grad if self.needs[1] else None,
        )

    def flops(self, input_shapes: Sequence[tuple[int, ...]], output_shape: tuple[int, ...]) -> int:
        return 2 * math.prod(output_shape) * input_shapes[0][-1]


class Linear(FusedOp):
    """x @ weight^T + bias for x (..., in), weight (out, in) and, optionally, bias (out,)."""

    name = "linear"
    precision = "half"
    gradients_are_new = True

    def forward(self, kernels: Any, x: Any, weight: Any, bias: Any) -> Any:
        result = kernels.matmul(_rows(x), weight.T)
        if bias is not None:
            result += bias
        return result.reshape(*x.shape[:-1], weight.shape[0])

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1, 2)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        x, weight, _ = inputs
        flat = _rows(grad)
        grad_x = kernels.matmul(flat, weight).reshape(x.shape) if self.needs[0] else None
        grad_weight = kernels.matmul(flat.T, _rows(x)) if self.needs[1] else None
        return grad_x, grad_weight, kernels.sum(flat, (0,), False) if self.needs[2] else None

    def expand(self, x: Any, weight: Any, bias: Any) -> Any:
        product = x @ weight.transpose()
        return product if bias is None else product + bias

    def flops(self, input_shapes: Sequence[tuple[int, ...]], output_shape: tuple[int, ...]) -> int:
        return 2 * math.prod(output_shape) * input_shapes[1][1]


def _rows(x: Any) -> Any:
    """Return an array (..., n) as (rows, n), also where n is 0."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
