"""Reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import FusedOp, Op, apply

Axes = tuple[int, ...]


class _Reduction(Op):
    """A reduction over `axes`, counted from the front."""

    def __init__(self, axes: Axes, keepdims: bool) -> None:
        self.axes = axes
        self.keepdims = keepdims

    def flops(self, input_shapes: Sequence[tuple[int, ...]], output_shape: tuple[int, ...]) -> int:
        return math.prod(input_shapes[0])

    def spread(self, reduced: Any, shape: tuple[int, ...]) -> Any:
        """Return a reduced tensor in a shape that broadcasts against the input."""
        return reduced.reshape(tuple(1 if d in self.axes else n for d, n in enumerate(shape)))


class Sum(_Reduction):
    name = "sum"
    precision = "float32"

    def forward(self, kernels: Any, x: Any) -> Any:
        self.shape = x.shape
        return kernels.sum(x, self.axes, self.keepdims)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (self.spread(grad, self.shape).broadcast_to(self.shape),)


class Mean(_Reduction):
    name = "mean"

    def forward(self, kernels: Any, x: Any) -> Any:
        self.shape = x.shape
        return kernels.mean(x, self.axes, self.keepdims)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        count = math.prod(self.shape[d] for d in self.axes)
        return ((self.spread(grad, self.shape) / count).broadcast_to(self.shape),)


class AnyAll(_Reduction):
    """Whether any, or all, elements are true.

    Args:
        function: "any" or "all".
    """

    differentiable = False

    def __init__(self, function: str, axes: Axes, keepdims: bool) -> None:
        super().__init__(axes, keepdims)
        self.name = self.function = function

    def forward(self, kernels: Any, x: Any) -> Any:
        return getattr(kernels, self.function)(x, self.axes, self.keepdims)


class ArgExtremum(Op):
    """The index of the first maximum or minimum along one axis.

    Args:
        function: "argmax" or "argmin".
    """

    differentiable = False

    def __init__(self, function: str, axis: int, keepdims: bool) -> None:
        self.name = self.function = function
        self.axis = axis
        self.keepdims = keepdims

    def forward(self, kernels: Any, x: Any) -> Any:
        return getattr(kernels, self.function)(x, self.axis, self.keepdims)


class TakeAlongAxis(Op):
    """x[..., index, ...] along one axis, the index in the shape of the result; places must not repeat."""

    name = "take_along_axis"

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, kernels: Any, x: Any, index: Any) -> Any:
        self.shape = x.shape
        return kernels.take_along_axis(x, index, self.axis)

    def retained_inputs(self) -> Sequence[int]:
        return (1,)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return apply(PutAlongAxis(self.axis, self.shape), grad, inputs[1]), None


class PutAlongAxis(Op):
    """Zeros of `shape` with the values at `index` along one axis: the derivative of TakeAlongAxis."""

    name = "put_along_axis"

    def __init__(self, axis: int, shape: tuple[int, ...]) -> None:
        self.axis = axis
        self.shape = shape

    def forward(self, kernels: Any, values: Any, index: Any) -> Any:
        return kernels.put_along_axis(values, index, self.axis, self.shape)

    def retained_inputs(self) -> Sequence[int]:
        return (1,)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return apply(TakeAlongAxis(self.axis), grad, inputs[1]), None


class LogSumExp(FusedOp):
    """log(sum(exp(x))) over axes, without overflow."""

    name = "logsumexp"
    broadcasts = True
    floating = True
    precision = "float32"

    def __init__(self, axes: Axes, keepdims: bool) -> None:
        self.axes = axes
        self.keepdims = keepdims

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.logsumexp(x, self.axes, self.keepdims)

    def retained_inputs(self) -> Sequence[int]:
        return (0,)

    def retains_output(self) -> bool:
        return True

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        x = inputs[0]
        shape = tuple(1 if d in self.axes else n for d, n in enumerate(x.shape))
        return (grad.reshape(shape) * kernels.xp.exp(x - output.reshape(shape)),)

    def expand(self, x: Any) -> Any:
        highest = x.detach().max(axis=self.axes, keepdims=True)
        result = (x - highest).exp().sum(axis=self.axes, keepdims=True).log() + highest
        return (
            result if self.keepdims else result.reshape(tuple(n for d, n in enumerate(x.shape) if d not in self.axes))
        )
