"""Batch normalisation over all axes but the channel axis, training and evaluation, both ways.

Ioffe & Szegedy 2015, algorithm 1; the backward is the gradient given in its section 3. The channel axis is axis 1:
x is (N, C) or (N, C, H, W), and M is the number of values of one channel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...dtypes import is_half
from .updates import UpdateKernels

_BLOCK = 512


class RunningAverages(NamedTuple):
    """Arrays that a training step moves, in place, towards the statistics of its batch.

    Attributes:
        mean, variance: (C,); the variance is the unbiased one.
        momentum: the weight of the batch.
        batches: () of int64, how many batches there were, or None.
    """

    mean: Any
    variance: Any
    momentum: float
    batches: Any


class BatchNormKernels(UpdateKernels):
    """Statistics are computed in two passes (mean first, then squared deviations), in float32 or wider."""

    xp: Any

    def batch_norm_statistics(self, x: Any, averages: RunningAverages | None = None) -> tuple[Any, Any]:
        """Return the mean and the biased variance of each channel, both (C,); move the averages, if given."""
        count = x.size // x.shape[1]
        mean = self._sum_over_batch(x) / count
        centered = x - self._per_channel(mean, x)
        variance = self._sum_over_batch(centered * centered) / count
        if averages is not None:
            self.move_averages(averages, mean, variance, count)
        return mean, variance

    def move_averages(self, averages: RunningAverages, mean: Any, variance: Any, count: int) -> None:
        """Move running averages towards a batch's mean and biased variance; `count` is the values per channel."""
        self.blend(averages.mean, mean, averages.momentum)
        self.blend(averages.variance, variance * (count / (count - 1)), averages.momentum)
        if averages.batches is not None:
            averages.batches[...] += 1

    def batch_norm(self, x: Any, mean: Any, variance: Any, weight: Any, bias: Any, eps: float) -> Any:
        """Return weight * (x - mean) / sqrt(variance + eps) + bias; weight and bias may be None."""
        mean, variance = self._at_least_float32(mean), self._at_least_float32(variance)
        scale = 1.0 / self.xp.sqrt(variance + eps)
        if weight is not None:
            scale = scale * weight
        result = x - self._per_channel(mean, x)
        result *= self._per_channel(scale, x)
        if bias is not None:
            result += self._per_channel(bias, x)
        return result.astype(x.dtype)

    def batch_norm_grad(
        self, grad: Any, x: Any, mean: Any, variance: Any, weight: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        """Return the gradients of x, weight and bias when mean and variance are those of x itself.

        With n = (x - mean) / sqrt(variance + eps):  d_bias = sum(grad),  d_weight = sum(grad * n),
        d_x = weight / sqrt(variance + eps) * (grad - d_bias / M - n * d_weight / M).
        """
        count = x.size // x.shape[1]
        inverse_std = 1.0 / self.xp.sqrt(variance + eps)
        normalized = x - self._per_channel(mean, x)
        normalized *= self._per_channel(inverse_std, x)
        grad_bias = self._sum_over_batch(grad)
        grad_weight = self._sum_over_batch(grad * normalized)
        scale = inverse_std if weight is None else inverse_std * weight
        normalized *= self._per_channel(-grad_weight / count, x)
        normalized += grad
        normalized -= self._per_channel(grad_bias / count, x)
        normalized *= self._per_channel(scale, x)
        return normalized.astype(x.dtype), grad_weight, grad_bias

    def batch_norm_eval_grad(
        self, grad: Any, x: Any, mean: Any, variance: Any, weight: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        """Return the gradients of x, weight and bias when mean and variance are constants."""
        mean, variance = self._at_least_float32(mean), self._at_least_float32(variance)
        inverse_std = 1.0 / self.xp.sqrt(variance + eps)
        scale = inverse_std if weight is None else inverse_std * weight
        centered = x - self._per_channel(mean, x)
        grad_weight = self._sum_over_batch(grad * centered) * inverse_std
        grad_x = (grad * self._per_channel(scale, x)).astype(x.dtype)
        return grad_x, grad_weight, self._sum_over_batch(grad)

    def _sum_over_batch(self, x: Any) -> Any:
        """Return the sum of each channel, (C,), added up in blocks so that rounding stays small."""
        rows = self._at_least_float32(self.xp.moveaxis(x, 1, -1).reshape(-1, x.shape[1]))
        whole = len(rows) // _BLOCK * _BLOCK
        # A product with a row of ones is the fastest sum over a strided axis in both NumPy and CuPy.
        ones = self.xp.ones((1, _BLOCK), dtype=rows.dtype)
        blocks = self.xp.matmul(ones, rows[:whole].reshape(-1, _BLOCK, x.shape[1])).sum(axis=(0, 1))
        return blocks + self.xp.matmul(ones[0, : len(rows) - whole], rows[whole:])

    def _at_least_float32(self, values: Any) -> Any:
        return values.astype("float32") if is_half(values.dtype) else values

    def _per_channel(self, values: Any, x: Any) -> Any:
        """Return (C,) values in the shape that broadcasts against x."""
        return values.reshape((1, -1) + (1,) * (x.ndim - 2))
