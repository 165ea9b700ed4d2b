"""Batch normalisation, alone and joined with an activation, in two launches each way."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference.batch_norm import RunningAverages
from .activations import IDENTITY, Formula
from .base import CudaBase
from .launch import Tiling, tiling, width_of
from .layout import in_shape_of, is_covered, real_of, rows_of


class BatchNormOverrides(CudaBase):
    """All of it for (N, C) and (N, C, H, W), where the channels' arrays are not wider than what is computed in."""

    def batch_norm_statistics(self, x: Any, averages: RunningAverages | None = None) -> tuple[Any, Any]:
        if not covers(x):
            return super().batch_norm_statistics(x, averages)
        return self.statistics_of(rows_of(x), IDENTITY, averages)

    def batch_norm(self, x: Any, mean: Any, variance: Any, weight: Any, bias: Any, eps: float) -> Any:
        if not covers(x, mean, variance, weight, bias):
            return super().batch_norm(x, mean, variance, weight, bias, eps)
        return in_shape_of(x, self.output_of(rows_of(x), (mean, variance, weight, bias), eps, False, IDENTITY))

    def batch_norm_grad(
        self, grad: Any, x: Any, mean: Any, variance: Any, weight: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        if not covers(x, mean, variance, weight) or grad.dtype != x.dtype:
            return super().batch_norm_grad(grad, x, mean, variance, weight, eps)
        return self.gradients_of(grad, x, (mean, variance, weight, None), eps, True, False, IDENTITY)

    def batch_norm_eval_grad(
        self, grad: Any, x: Any, mean: Any, variance: Any, weight: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        if not covers(x, mean, variance, weight) or grad.dtype != x.dtype:
            return super().batch_norm_eval_grad(grad, x, mean, variance, weight, eps)
        return self.gradients_of(grad, x, (mean, variance, weight, None), eps, False, False, IDENTITY)

    def statistics_of(self, x: Any, formula: Formula, averages: RunningAverages | None) -> tuple[Any, Any]:
        """Return mean and biased variance of the activation of rows (R, C); move the averages, if given."""
        real = real_of(x.dtype)
        rows, channels = x.shape
        mean, variance = self.xp.empty(channels, real), self.xp.empty(channels, real)
        moved: tuple[Any, ...] = (None, None, real.type(0), None)
        on_the_way = averages is not None and all(
            array.dtype == real and array.flags.c_contiguous for array in (averages.mean, averages.variance)
        )
        if averages is not None and on_the_way:
            moved = (averages.mean, averages.variance, real.type(averages.momentum), averages.batches)
        tiles, walk = _walk(x)
        numbers = (real.type(formula.p), real.type(formula.q))
        arguments = (x, *walk, *numbers, self._partials(x, tiles, 3), self.arrived, mean, variance, *moved)
        self.program.kernel("statistics", x.dtype, formula.name)(tiles.grid, tiles.block, arguments)
        if averages is not None and not on_the_way:
            self.move_averages(averages, mean, variance, rows)
        return mean, variance

    def output_of(self, x: Any, channels: tuple[Any, ...], eps: float, swap: bool, formula: Formula) -> Any:
        """Return rows (R, C), normalised with (C,) arrays mean, variance, weight, bias, and activated."""
        out = self.xp.empty(x.shape, x.dtype)
        tiles, walk = _walk(x)
        arguments = (x, *walk, *_settings(x, channels, eps, swap, formula), out)
        self.program.kernel("output", x.dtype, formula.name)(tiles.grid, tiles.block, arguments)
        return out

    def gradients_of(
        self, grad: Any, x: Any, channels: tuple[Any, ...], eps: float, of_batch: bool, swap: bool, formula: Formula
    ) -> tuple[Any, Any, Any]:
        """Return the gradients of x, weight and bias; `of_batch` says that mean and variance are those of x."""
        shaped, x, grad = x, rows_of(x), rows_of(grad)
        real = real_of(x.dtype)
        out = self.xp.empty(x.shape, x.dtype)
        grad_weight, grad_bias = self.xp.empty(x.shape[1], real), self.xp.empty(x.shape[1], real)
        tiles, walk = _walk(x, grad)
        before = (grad, x, *walk, *_settings(x, channels, eps, swap, formula))
        sums = (grad_weight, grad_bias)
        arguments = (*before, self._partials(x, tiles, 2), self.arrived, *sums)
        self.program.kernel("gradient_sums", x.dtype, formula.name)(tiles.grid, tiles.block, arguments)
        arguments = (*before, *sums, np.int32(of_batch), out)
        self.program.kernel("input_gradient", x.dtype, formula.name)(tiles.grid, tiles.block, arguments)
        return in_shape_of(shaped, out), grad_weight, grad_bias

    def _partials(self, x: Any, tiles: Tiling, vectors: int) -> Any:
        """Return room for what the blocks find before it is merged: vectors of at most four channels."""
        across, parts = tiles.grid
        room = across * tiles.block[0] * parts * vectors * 4
        return None if parts == 1 else self.xp.empty(room, real_of(x.dtype))


def covers(x: Any, *channels: Any) -> bool:
    """Return whether the kernels take an input with such (C,) arrays, of which some may be None."""
    if x.ndim not in (2, 4) or x.size == 0 or not is_covered(x.dtype):
        return False
    widest = real_of(x.dtype).itemsize
    return all(array is None or array.dtype.itemsize <= widest for array in channels)


def _walk(x: Any, *others: Any) -> tuple[Tiling, tuple[Any, ...]]:
    """Return how blocks share rows (R, C), and what kernels are told about it."""
    rows, channels = x.shape
    width = width_of(channels, x, *others)
    tiles = tiling(rows, channels // width)
    return tiles, (np.int64(rows), np.int32(channels), np.int64(tiles.rows), np.int32(width > 1))


def _settings(x: Any, channels: tuple[Any, ...], eps: float, swap: bool, formula: Formula) -> tuple[Any, ...]:
    real = real_of(x.dtype)
    arrays = (None if array is None else _vector(array, real) for array in channels)
    return np.int32(swap), real.type(formula.p), real.type(formula.q), *arrays, real.type(eps)


def _vector(array: Any, real: Any) -> Any:
    """Return a (C,) array without gaps and in the dtype that is computed in."""
    return array if array.dtype == real and array.flags.c_contiguous else array.astype(real, order="C")
