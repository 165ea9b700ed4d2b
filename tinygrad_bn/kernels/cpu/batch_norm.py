"""Batch normalisation, alone and joined with an activation, in two passes each way."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ..reference import Kernels
from ..reference.batch_norm import RunningAverages
from .formulas import IDENTITY, Formula, formula_of
from .launch import launch, number_of_parts
from .layout import FLOATS, behaved, rows_of
from .normalize import (
    block_gradient_sums,
    block_statistics,
    combine_gradient_sums,
    combine_statistics,
    input_gradient,
    normalize,
)

_TILE = 512  # values: ten tiles fill half of a first cache of 32 KiB and up; smaller ones cost more in calls
_TILES_IN_BLOCK = 64  # a block of float32 takes 128 KiB of the second cache
_LANES = 16  # of the widest vector register, float32
_NANOSECONDS = 0.3  # per element and pass


class BatchNormOverrides(Kernels):
    """All of it for (N, C) and (N, C, H, W) in float32 and float64, where the activation has a compiled formula."""

    def batch_norm_statistics(self, x: Any, averages: RunningAverages | None = None) -> tuple[Any, Any]:
        if not _covered(x):
            return super().batch_norm_statistics(x, averages)
        return self._statistics(_run_of(x), x.shape[1], 0, IDENTITY, averages)

    def batch_norm(self, x: Any, mean: Any, variance: Any, weight: Any, bias: Any, eps: float) -> Any:
        if not _covered(x, mean, variance, weight, bias):
            return super().batch_norm(x, mean, variance, weight, bias, eps)
        channels = _vectors(mean, variance, weight, bias)
        return _in_shape_of(x, self._normalized(_run_of(x), *channels, eps, 0, IDENTITY))

    def batch_norm_grad(
        self, grad: Any, x: Any, mean: Any, variance: Any, weight: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        if not _covered(x, grad, mean, variance, weight):
            return super().batch_norm_grad(grad, x, mean, variance, weight, eps)
        return self._gradients(grad, x, _vectors(mean, variance, weight, None), eps, 1, 0, IDENTITY)

    def batch_norm_eval_grad(
        self, grad: Any, x: Any, mean: Any, variance: Any, weight: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        if not _covered(x, grad, mean, variance, weight):
            return super().batch_norm_eval_grad(grad, x, mean, variance, weight, eps)
        return self._gradients(grad, x, _vectors(mean, variance, weight, None), eps, 0, 0, IDENTITY)

    def norm_act(
        self,
        x: Any,
        weight: Any,
        bias: Any,
        eps: float,
        order: str,
        activation: str,
        parameters: dict[str, Any],
        averages: RunningAverages | None = None,
    ) -> tuple[Any, Any, Any]:
        formula = _formula(x, order, activation, parameters)
        if formula is None or not _covered(x, weight, bias):
            return super().norm_act(x, weight, bias, eps, order, activation, parameters, averages)
        run, swap = _run_of(x), int(order == "swap")
        mean, variance = self._statistics(run, x.shape[1], swap, formula, averages)
        channels = _vectors(mean, variance, weight, bias)
        return _in_shape_of(x, self._normalized(run, *channels, eps, swap, formula)), mean, variance

    def norm_act_eval(
        self,
        x: Any,
        mean: Any,
        variance: Any,
        weight: Any,
        bias: Any,
        eps: float,
        order: str,
        activation: str,
        parameters: dict[str, Any],
    ) -> Any:
        formula = _formula(x, order, activation, parameters)
        if formula is None or not _covered(x, mean, variance, weight, bias):
            return super().norm_act_eval(x, mean, variance, weight, bias, eps, order, activation, parameters)
        channels = _vectors(mean, variance, weight, bias)
        return _in_shape_of(x, self._normalized(_run_of(x), *channels, eps, int(order == "swap"), formula))

    def norm_act_grad(
        self,
        grad: Any,
        x: Any,
        mean: Any,
        variance: Any,
        weight: Any,
        bias: Any,
        eps: float,
        order: str,
        activation: str,
        parameters: dict[str, Any],
    ) -> tuple[Any, Any, Any]:
        formula = _formula(x, order, activation, parameters)
        if formula is None or not _covered(x, grad, mean, variance, weight, bias):
            return super().norm_act_grad(grad, x, mean, variance, weight, bias, eps, order, activation, parameters)
        channels = _vectors(mean, variance, weight, bias)
        return self._gradients(grad, x, channels, eps, 1, int(order == "swap"), formula)

    def norm_act_eval_grad(
        self,
        grad: Any,
        x: Any,
        mean: Any,
        variance: Any,
        weight: Any,
        bias: Any,
        eps: float,
        order: str,
        activation: str,
        parameters: dict[str, Any],
    ) -> tuple[Any, Any, Any]:
        formula = _formula(x, order, activation, parameters)
        if formula is None or not _covered(x, grad, mean, variance, weight, bias):
            settings = (eps, order, activation, parameters)
            return super().norm_act_eval_grad(grad, x, mean, variance, weight, bias, *settings)
        channels = _vectors(mean, variance, weight, bias)
        return self._gradients(grad, x, channels, eps, 0, int(order == "swap"), formula)

    def _statistics(
        self, x: Any, channels: int, swap: int, formula: Formula, averages: RunningAverages | None
    ) -> tuple[Any, Any]:
        width, size = _widths(x.size, channels)
        count = -(-x.size // size)
        blocks = self.device.memory.empty((count, 3, channels), np.float64)
        mean, variance = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
        swap = int(swap and formula.value != 0)
        parts = number_of_parts(count, x.size * _NANOSECONDS)
        launch(block_statistics, count, parts, x, blocks, size, width, swap, formula)
        combine_statistics(blocks, x.size // channels, size, mean, variance)
        if averages is not None:
            self.move_averages(averages, mean, variance, x.size // channels)
        return mean, variance

    def _normalized(
        self, x: Any, mean: Any, variance: Any, weight: Any, bias: Any, eps: float, swap: int, formula: Formula
    ) -> Any:
        width, _ = _widths(x.size, len(mean))
        count = -(-x.size // width)
        out = self.device.memory.empty(x.shape, x.dtype)
        parts = number_of_parts(count, x.size * _NANOSECONDS)
        channels = (mean, variance, weight, bias)
        launch(normalize, count, parts, x, out, *channels, float(eps), width, swap, formula)
        return out

    def _gradients(
        self, grad: Any, x: Any, channels: tuple[Any, ...], eps: float, of_batch: int, swap: int, formula: Formula
    ) -> tuple[Any, Any, Any]:
        shaped, x, grad = x, _run_of(x), _run_of(grad)
        mean, variance = channels[:2]
        width, size = _widths(x.size, len(mean))
        count = -(-x.size // size)
        blocks = self.device.memory.empty((count, 2, len(mean)), np.float64)
        out = self.device.memory.empty(x.shape, x.dtype)
        grad_weight, grad_bias = np.empty_like(mean), np.empty_like(mean)
        eps = float(eps)
        parts = number_of_parts(count, x.size * _NANOSECONDS)
        launch(block_gradient_sums, count, parts, grad, x, blocks, *channels, eps, size, width, swap, formula)
        combine_gradient_sums(blocks, variance, eps, grad_weight, grad_bias)
        count = -(-x.size // width)
        parts = number_of_parts(count, x.size * _NANOSECONDS)
        sums = (grad_weight, grad_bias)
        launch(input_gradient, count, parts, grad, x, out, *channels, eps, *sums, of_batch, width, swap, formula)
        return _in_shape_of(shaped, out), grad_weight, grad_bias


def _covered(x: Any, *others: Any) -> bool:
    return (
        x.ndim in (2, 4)
        and x.size > 0
        and x.dtype in FLOATS
        and all(other is None or other.dtype == x.dtype for other in others)
    )


def _formula(x: Any, order: str, activation: str, parameters: dict[str, Any]) -> Formula | None:
    return formula_of(activation, parameters, x.dtype, order == "convention") if x.dtype in FLOATS else None


def _run_of(x: Any) -> Any:
    """Return the rows of x (N * H * W, C) as one run of memory."""
    return behaved(rows_of(x).reshape(-1))


def _vectors(mean: Any, variance: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any, Any]:
    """Return (C,) arrays that kernels take; an absent weight is 1 and an absent bias 0."""
    weight = np.ones_like(mean) if weight is None else behaved(weight)
    bias = np.zeros_like(mean) if bias is None else behaved(bias)
    return behaved(mean), behaved(variance), weight, bias


def _in_shape_of(x: Any, run: Any) -> Any:
    """Return a run of rows in the shape of x."""
    if x.ndim == 2:
        return run.reshape(x.shape)
    batch, channels, height, width = x.shape
    return run.reshape(batch, height, width, channels).transpose(0, 3, 1, 2)


@lru_cache(maxsize=512)
def _widths(total: int, channels: int) -> tuple[int, int]:
    """Return the widths of a tile and of a block for `total` values: whole rows and, of few channels, whole vectors."""
    step = math.lcm(channels, _LANES)
    if step > _TILE:
        step = channels
    width = min(step * max(1, _TILE // step), total)
    return width, min(width * _TILES_IN_BLOCK, total)
