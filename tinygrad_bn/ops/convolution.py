"""Two-dimensional convolution. The three operations here are each other's derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..autograd import Op, apply

Pair = tuple[int, int]
Shape = tuple[int, ...]


class Window(NamedTuple):
    """How a kernel moves over an image; pairs are (vertical, horizontal), padding ((top, bottom), (left, right))."""

    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1


class _Convolution(Op):
    precision = "half"

    def __init__(self, window: Window) -> None:
        self.window = window

    def retained_inputs(self) -> Sequence[int]:
        return [other for other, need in ((1, self.needs[0]), (0, self.needs[1])) if need]


class Conv2d(_Convolution):
    """Correlate x (N, C, H, W) with weight (O, C/groups, KH, KW) and add bias (O,) if there is one."""

    name = "conv2d"
    gradients_are_new = True

    def forward(self, kernels: Any, x: Any, weight: Any, bias: Any) -> Any:
        self.input_size, self.kernel = x.shape[2:], weight.shape[2:]
        return kernels.conv2d(x, weight, bias, *self.window)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        x, weight, _ = inputs
        return (
            apply(Conv2dInputGrad(self.window, self.input_size), grad, weight) if self.needs[0] else None,
            apply(Conv2dWeightGrad(self.window, self.kernel), x, grad) if self.needs[1] else None,
            grad.sum(axis=(0, 2, 3)) if self.needs[2] else None,
        )

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        x, weight, _ = inputs
        return (
            kernels.conv2d_input_grad(grad, weight, self.input_size, *self.window) if self.needs[0] else None,
            kernels.conv2d_weight_grad(x, grad, self.kernel, *self.window) if self.needs[1] else None,
            kernels.sum(grad, (0, 2, 3), False) if self.needs[2] else None,
        )

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 2 * math.prod(output_shape) * math.prod(input_shapes[1][1:])


class Conv2dInputGrad(_Convolution):
    """The gradient of conv2d's input (N, C, H, W), from grad (N, O, OH, OW) and weight: a transposed convolution."""

    name = "conv2d_input_grad"

    def __init__(self, window: Window, input_size: Pair) -> None:
        super().__init__(window)
        self.input_size = input_size

    def forward(self, kernels: Any, grad: Any, weight: Any) -> Any:
        self.kernel = weight.shape[2:]
        return kernels.conv2d_input_grad(grad, weight, self.input_size, *self.window)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        below, weight = inputs
        return (
            apply(Conv2d(self.window), grad, weight, None) if self.needs[0] else None,
            apply(Conv2dWeightGrad(self.window, self.kernel), grad, below) if self.needs[1] else None,
        )

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 2 * math.prod(input_shapes[0]) * math.prod(input_shapes[1][1:])


class Conv2dWeightGrad(_Convolution):
    """The gradient of conv2d's weight (O, C/groups, KH, KW), from x (N, C, H, W) and grad (N, O, OH, OW)."""

    name = "conv2d_weight_grad"

    def __init__(self, window: Window, kernel: Pair) -> None:
        super().__init__(window)
        self.kernel = kernel

    def forward(self, kernels: Any, x: Any, grad: Any) -> Any:
        self.input_size = x.shape[2:]
        return kernels.conv2d_weight_grad(x, grad, self.kernel, *self.window)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        x, below = inputs
        return (
            apply(Conv2dInputGrad(self.window, self.input_size), below, grad) if self.needs[0] else None,
            apply(Conv2d(self.window), x, grad, None) if self.needs[1] else None,
        )

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 2 * math.prod(input_shapes[1]) * math.prod(output_shape[1:])
