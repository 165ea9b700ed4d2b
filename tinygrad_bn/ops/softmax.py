"""Softmax, its logarithm, and cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import FusedOp, apply
from .selection import where

Shape = tuple[int, ...]


class Softmax(FusedOp):
    """exp(x) / sum(exp(x)) along an axis."""

    name = "softmax"
    precision = "float32"

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.softmax(x, self.axis)

    def retains_output(self) -> bool:
        return True

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (output * (grad - (grad * output).sum(axis=self.axis, keepdims=True)),)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (kernels.softmax_grad(grad, output, self.axis),)

    def expand(self, x: Any) -> Any:
        exponential = (x - x.detach().max(axis=self.axis, keepdims=True)).exp()
        return exponential / exponential.sum(axis=self.axis, keepdims=True)

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 5 * math.prod(output_shape)


class LogSoftmax(FusedOp):
    """x - log(sum(exp(x))) along an axis."""

    name = "log_softmax"
    precision = "float32"

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.log_softmax(x, self.axis)

    def retains_output(self) -> bool:
        return True

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (grad - output.exp() * grad.sum(axis=self.axis, keepdims=True),)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (kernels.log_softmax_grad(grad, output, self.axis),)

    def expand(self, x: Any) -> Any:
        shifted = x - x.detach().max(axis=self.axis, keepdims=True)
        return shifted - shifted.exp().sum(axis=self.axis, keepdims=True).log()

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 5 * math.prod(output_shape)


class CrossEntropy(FusedOp):
    """-sum over classes (axis 1) of target * log_softmax(x), for x and target (N, C, ...); returns (N, ...)."""

    name = "cross_entropy"
    precision = "float32"

    def forward(self, kernels: Any, x: Any, target: Any) -> Any:
        return kernels.cross_entropy(x, target)

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return kernels.cross_entropy_grad(grad, *inputs)  # type: ignore[no-any-return]

    def expand(self, x: Any, target: Any) -> Any:
        log_probability = apply(LogSoftmax(1), x)
        impossible = (target == 0) & (log_probability == -math.inf)  # 0 times minus infinity is nothing here
        losses = -(target * where(impossible, 0.0, log_probability)).sum(axis=1)
        return where((target != 0).any(axis=1), losses, 0.0)  # no gradient to and from a target that counts nothing

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 7 * math.prod(input_shapes[0])


class ClassCrossEntropy(FusedOp):
    """-log_softmax(x) at the class that an integer target (N, ...) names, for x (N, C, ...).

    Args:
        ignore_index: a target that counts nothing.
        reduction: "none" returns (N, ...), "sum" the sum, "mean" the mean over the targets that count.
    """

    name = "cross_entropy"
    precision = "float32"

    def __init__(self, ignore_index: int, reduction: str) -> None:
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, kernels: Any, x: Any, target: Any) -> Any:
        return kernels.class_cross_entropy(x, target, self.ignore_index, self.reduction)

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return kernels.class_cross_entropy_grad(grad, *inputs, self.ignore_index, self.reduction), None

    def expand(self, x: Any, target: Any) -> Any:
        classes = x.wrap(x.device.use().arange(x.shape[1]).reshape((1, -1) + (1,) * (x.ndim - 2)))
        counted = target != self.ignore_index
        chosen = (classes == target.unsqueeze(1)) & counted.unsqueeze(1)
        losses = CrossEntropy().expand(x, chosen.astype(x.dtype))
        if self.reduction == "none":
            return losses
        return losses.sum() / counted.astype(x.dtype).sum() if self.reduction == "mean" else losses.sum()

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 5 * math.prod(input_shapes[0])


def weighted_negative(target: Any, log_probability: Any) -> Any:
    """Return -sum over axis 1 of target * log_probability, where a target of 0 counts nothing, even of -inf."""
    return -where(target == 0, 0.0, target * where(target == 0, 0.0, log_probability)).sum(axis=1)
