"""Batch normalisation: forward, backward and expansion, for training and for evaluation.

Ioffe & Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift":

    mean, var = mean and biased variance of x over all axes but the channel axis (axis 1)
    y         = weight * (x - mean) / sqrt(var + eps) + bias

In training the gradient also flows through mean and var, because they are computed from x; in evaluation they are
constants. Those are two different derivatives, hence two operations. The arrays are computed in
`kernels/reference/batch_norm.py`; `expand` states the mathematics once more, with primitive operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import FusedOp
from ..dtypes import is_half
from ..kernels.reference.batch_norm import RunningAverages

Shape = tuple[int, ...]


class BatchNorm(FusedOp):
    """Training: normalise x (N, C) or (N, C, H, W) with its own statistics; weight and bias (C,) may be None.

    Args:
        eps: added to the variance, inside the root.
        averages: running averages that the first `forward` moves; where one is timed or checked later, they stay.
    """

    name = "batch_norm"
    gradients_are_new = True

    def __init__(self, eps: float, averages: RunningAverages | None = None) -> None:
        self.eps = eps
        self.averages = averages

    def forward(self, kernels: Any, x: Any, weight: Any, bias: Any) -> Any:
        averages, self.averages = self.averages, None
        self.kept = kernels.batch_norm_statistics(x, averages)
        return kernels.batch_norm(x, *self.kept, weight, bias, self.eps)

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1, 2)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        x, weight, bias = inputs
        return cast_gradients(kernels.batch_norm_grad(grad, x, *self.kept, weight, self.eps), weight, bias)

    def expand(self, x: Any, weight: Any, bias: Any) -> Any:
        axes = (0, *range(2, x.ndim))
        wide = _at_least_float32(x)
        centered = wide - wide.mean(axis=axes, keepdims=True)
        variance = (centered * centered).mean(axis=axes, keepdims=True)
        return _scaled(centered * (variance + self.eps).rsqrt(), weight, bias).astype(x.dtype)

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 7 * math.prod(output_shape)  # mean 1; centre, square, add 3; normalise 1; scale and shift 2


class BatchNormEval(FusedOp):
    """Evaluation: normalise x with given statistics (the running averages), which are constants."""

    name = "batch_norm_eval"
    gradients_are_new = True

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, kernels: Any, x: Any, mean: Any, variance: Any, weight: Any, bias: Any) -> Any:
        return kernels.batch_norm(x, mean, variance, weight, bias, self.eps)

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1, 2, 3, 4)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        x, mean, variance, weight, bias = inputs
        grad_x, grad_weight, grad_bias = cast_gradients(
            kernels.batch_norm_eval_grad(grad, x, mean, variance, weight, self.eps), weight, bias
        )
        return grad_x, None, None, grad_weight, grad_bias

    def expand(self, x: Any, mean: Any, variance: Any, weight: Any, bias: Any) -> Any:
        shape = _channel_shape(x)
        mean, variance = (_at_least_float32(t.detach()).reshape(shape) for t in (mean, variance))
        return _scaled((x - mean) * (variance + self.eps).rsqrt(), weight, bias).astype(x.dtype)

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 4 * math.prod(output_shape)


def _channel_shape(x: Any) -> Shape:
    return 1, -1, *[1] * (x.ndim - 2)


def _at_least_float32(x: Any) -> Any:
    return x.astype("float32") if is_half(x.dtype) else x


def _scaled(normalized: Any, weight: Any, bias: Any) -> Any:
    if weight is not None:
        normalized = normalized * weight.reshape(_channel_shape(normalized))
    if bias is not None:
        normalized = normalized + bias.reshape(_channel_shape(normalized))
    return normalized


def cast_gradients(gradients: tuple[Any, Any, Any], weight: Any, bias: Any) -> tuple[Any, Any, Any]:
    """Drop the gradients of absent parameters, and give the others their parameter's dtype."""
    grad_x, grad_weight, grad_bias = gradients
    return (
        grad_x,
        None if weight is None else grad_weight.astype(weight.dtype, copy=False),
        None if bias is None else grad_bias.astype(bias.dtype, copy=False),
    )
