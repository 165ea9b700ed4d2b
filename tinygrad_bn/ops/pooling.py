"""Max and average pooling. Scatter and gather, average and its gradient, are each other's derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..autograd import FusedOp, Op, apply

Pair = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class PoolWindow:
    """The size and the steps of a pooling window; each pair is (vertical, horizontal)."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    out_size: Pair

    @property
    def arguments(self) -> tuple[Pair, Pair, Pair, Pair]:
        """Kernel, stride, padding and dilation, in the order that the kernels take them."""
        return self.kernel, self.stride, self.padding, self.dilation


class _Pooling(Op):
    def __init__(self, window: PoolWindow) -> None:
        self.window = window

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return math.prod(output_shape) * math.prod(self.window.kernel)


class MaxPool2d(_Pooling):
    """The maximum of each window; the first maximum takes the gradient.

    Args:
        return_winner: leave in `winner` which element of each window was its maximum.
    """

    name = "max_pool2d"
    winner: Any = None

    def __init__(self, window: PoolWindow, return_winner: bool = False) -> None:
        super().__init__(window)
        self.return_winner = return_winner

    def forward(self, kernels: Any, x: Any) -> Any:
        self.input_size = x.shape[2:]
        result, winner = kernels.max_pool2d(x, *self.window.arguments, self.window.out_size)
        self.kept = winner if self.needs else None
        self.winner = winner if self.return_winner else None
        return result

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (apply(MaxPool2dScatter(self.window, self.input_size), grad, grad.wrap(self.kept)),)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (kernels.max_pool2d_scatter(grad, self.kept, self.input_size, *self.window.arguments),)


class MaxPool2dScatter(_Pooling):
    """Give each window's value to the input element that was its maximum: the derivative of MaxPool2d."""

    name = "max_pool2d_scatter"

    def __init__(self, window: PoolWindow, input_size: Pair) -> None:
        super().__init__(window)
        self.input_size = input_size

    def forward(self, kernels: Any, values: Any, winner: Any) -> Any:
        return kernels.max_pool2d_scatter(values, winner, self.input_size, *self.window.arguments)

    def retained_inputs(self) -> Sequence[int]:
        return (1,)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return apply(MaxPool2dGather(self.window), grad, inputs[1]), None


class MaxPool2dGather(_Pooling):
    """Read the element that was each window's maximum: the derivative of MaxPool2dScatter."""

    name = "max_pool2d_gather"

    def forward(self, kernels: Any, x: Any, winner: Any) -> Any:
        self.input_size = x.shape[2:]
        return kernels.max_pool2d_gather(x, winner, *self.window.arguments)

    def retained_inputs(self) -> Sequence[int]:
        return (1,)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return apply(MaxPool2dScatter(self.window, self.input_size), grad, inputs[1]), None


class AvgPool2d(_Pooling):
    """The mean of each window.

    Args:
        count_include_pad: padding counts as elements of value 0.
        divisor: what every window's sum is divided by, in the place of its number of elements.
    """

    name = "avg_pool2d"

    def __init__(self, window: PoolWindow, count_include_pad: bool, divisor: int | None) -> None:
        super().__init__(window)
        self.count_include_pad = count_include_pad
        self.divisor = divisor

    def forward(self, kernels: Any, x: Any) -> Any:
        self.input_size = x.shape[2:]
        kernel, stride, padding, _ = self.window.arguments
        divisor = _divisor(kernels, self, self.input_size)
        return kernels.avg_pool2d(x, kernel, stride, padding, self.window.out_size, divisor)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (apply(AvgPool2dGrad(self, self.input_size), grad),)


class AvgPool2dGrad(_Pooling):
    """Give each window's elements an equal share of its value: the derivative of AvgPool2d."""

    name = "avg_pool2d_grad"

    def __init__(self, pooling: AvgPool2d, input_size: Pair) -> None:
        super().__init__(pooling.window)
        self.count_include_pad = pooling.count_include_pad
        self.divisor = pooling.divisor
        self.input_size = input_size

    def forward(self, kernels: Any, grad: Any) -> Any:
        kernel, stride, padding, _ = self.window.arguments
        divisor = _divisor(kernels, self, self.input_size)
        return kernels.avg_pool2d_grad(grad, self.input_size, kernel, stride, padding, divisor)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (apply(AvgPool2d(self.window, self.count_include_pad, self.divisor), grad),)


def _divisor(kernels: Any, op: AvgPool2d | AvgPool2dGrad, input_size: Pair) -> Any:
    if op.divisor is not None:
        return op.divisor
    kernel, stride, padding, _ = op.window.arguments
    return kernels.avg_pool2d_divisor(input_size, kernel, stride, padding, op.window.out_size, op.count_include_pad)


class AdaptiveAvgPool2d(FusedOp):
    """The mean of out_size windows that cover the image: window i of n runs from floor(iH/n) to ceil((i+1)H/n).

    Means over rows and columns are products with two matrices whose rows hold 1/length inside the window.
    """

    name = "adaptive_avg_pool2d"

    def __init__(self, out_size: Pair) -> None:
        self.out_size = out_size

    def forward(self, kernels: Any, x: Any) -> Any:
        self.shape = x.shape
        if self._tile is not None:
            return kernels.avg_pool2d(x, self._tile, self._tile, (0, 0), self.out_size, math.prod(self._tile))
        rows, columns = self._matrices(kernels.xp, x.shape, x.dtype)
        return kernels.matmul(kernels.matmul(rows, x), columns.T)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        rows, columns = self._matrices(grad.device.xp, self.shape, grad.dtype)
        return (grad.wrap(rows.T) @ grad @ grad.wrap(columns),)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        if self._tile is not None:
            size, divisor = self.shape[2:], math.prod(self._tile)
            return (kernels.avg_pool2d_grad(grad, size, self._tile, self._tile, (0, 0), divisor),)
        rows, columns = self._matrices(kernels.xp, self.shape, grad.dtype)
        return (kernels.matmul(kernels.matmul(rows.T, grad), columns),)

    def expand(self, x: Any) -> Any:
        rows, columns = self._matrices(x.device.xp, x.shape, x.dtype)
        return x.wrap(rows) @ x @ x.wrap(columns.T)

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return math.prod(input_shapes[0])

    @property
    def _tile(self) -> Pair | None:
        """The size of the windows where they are all alike and do not overlap."""
        (height, width), (rows, columns) = self.shape[2:], self.out_size
        return None if height % rows or width % columns else (height // rows, width // columns)

    def _matrices(self, xp: Any, shape: Shape, dtype: Any) -> tuple[Any, Any]:
        rows, columns = (
            _averaging_matrix(xp, n, out).astype(dtype) for n, out in zip(shape[2:], self.out_size, strict=True)
        )
        return rows, columns


def _averaging_matrix(xp: Any, length: int, windows: int) -> Any:
    number = xp.arange(windows)[:, None]
    start = number * length // windows
    end = -(-(number + 1) * length // windows)
    position = xp.arange(length)[None, :]
    return ((position >= start) & (position < end)) / (end - start)
