"""Kernels of batch normalisation joined with an activation: rows of channels, in few passes through memory.

Everything happens in tiles that stay in the first cache: a tile is a few rows of all channels, seen as one long row;
what each channel needs (mean, scale, ...) is laid out as many times as the tile has rows. So the inner loops are long
and alike for every number of channels. The activation is called on a whole tile by its address (see `formulas`).

`swap` says which comes first: 0, normalise and then activate; 1, the reverse. v is what is normalised: x or act(x).

Sums over a batch are taken in blocks, in the arrays' dtype within a block and in float64 over the blocks; the result
does not depend on the number of threads. A block stays in the second cache: the mean is computed first, deviations from
it next, and what they do not sum up to zero by corrects both (Chan, Golub & LeVeque 1983, "Algorithms for Computing the
Sample Variance").
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compiler import compiled, compiled_part
from .formulas import call_gradient, call_normalized_gradient, call_normalized_value, call_value
from .stretch import stretch


@compiled_part
def _laid_out(values: Any, width: int) -> Any:
    """Return tiles (K, width) that repeat the channels' values (K, C)."""
    kinds, channels = values.shape
    result = np.empty((kinds, width), values.dtype)
    for kind in range(kinds):
        value, tile = values[kind], result[kind]
        for start in range(0, width, channels):
            row = stretch(tile, start, min(start + channels, width))
            for c in range(row.size):
                row[c] = value[c]
    return result


@compiled_part
def _add_up(tiles: Any, sums: Any) -> None:
    """Set the sums (K, C), float64, to those of the tiles (K, width)."""
    kinds, channels = sums.shape
    width = tiles.shape[1]
    for kind in range(kinds):
        tile, total = tiles[kind], sums[kind]
        total[:] = 0.0
        for start in range(0, width, channels):
            row = stretch(tile, start, min(start + channels, width))
            for c in range(row.size):
                total[c] += row[c]


@compiled_part
def _four_tiles(values: Any, start: int, width: int) -> Any:
    """Return the next four tiles: taken together, they are worth loading and storing what they are added to."""
    middle, end = start + 2 * width, start + 4 * width
    first, second = stretch(values, start, start + width), stretch(values, start + width, middle)
    return first, second, stretch(values, middle, middle + width), stretch(values, middle + width, end)


@compiled_part
def _add_deviations(values: Any, center: Any, total: Any, squares: Any) -> None:
    """total += the sum of all tiles' deviations from `center`; squares += that of their squares."""
    width = total.size
    whole = values.size - values.size % (4 * width)
    for start in range(0, whole, 4 * width):
        a, b, c, d = _four_tiles(values, start, width)
        for j in range(width):
            e, f, g, h = a[j] - center[j], b[j] - center[j], c[j] - center[j], d[j] - center[j]
            total[j] += (e + f) + (g + h)
            squares[j] += (e * e + f * f) + (g * g + h * h)
    for start in range(whole, values.size, width):
        tile = stretch(values, start, min(start + width, values.size))
        for j in range(tile.size):
            e = tile[j] - center[j]
            total[j] += e
            squares[j] += e * e


@compiled
def block_statistics(
    part: int, first: int, last: int, x: Any, blocks: Any, size: int, width: int, swap: int, formula: Any
) -> None:
    """blocks[b] = sum, mean and sum of squared deviations of v in block b, of `size` values, each (C,)."""
    channels = blocks.shape[2]
    activated = np.empty(size if swap else 0, x.dtype)
    tiles, sums = np.empty((2, width), x.dtype), np.empty((2, channels), np.float64)
    centers = np.empty((1, channels), x.dtype)
    for block in range(first, last):
        values = stretch(x, block * size, min((block + 1) * size, x.size))
        if swap:
            here = stretch(activated, 0, values.size)
            call_value(formula.value, values, here, formula.p, formula.q)
            values = here
        rows = values.size // channels
        centers[:] = 0.0
        for turn in range(2):  # deviations from 0 give the mean, and deviations from the mean correct it
            tiles[:] = 0.0
            _add_deviations(values, _laid_out(centers, width)[0], tiles[0], tiles[1])
            _add_up(tiles, sums)
            for c in range(channels):
                if turn == 0:
                    blocks[block, 0, c] = sums[0, c]
                    centers[0, c] = sums[0, c] / rows
                else:
                    blocks[block, 1, c] = centers[0, c] + sums[0, c] / rows
                    blocks[block, 2, c] = sums[1, c] - sums[0, c] * sums[0, c] / rows


@compiled
def combine_statistics(blocks: Any, rows: int, size: int, mean: Any, variance: Any) -> None:
    """mean and biased variance of `rows` rows, from `block_statistics`."""
    channels = len(mean)
    totals = np.zeros((2, channels), np.float64)
    exact = np.zeros(channels, np.float64)
    for block in range(len(blocks)):
        here = min(size // channels, rows - block * (size // channels))
        for c in range(channels):
            totals[0, c] += blocks[block, 0, c]
            exact[c] += blocks[block, 1, c] * here
    for c in range(channels):
        exact[c] /= rows
        # Deviations from an infinite mean are NaN, and so is its correction.
        mean[c] = exact[c] if exact[c] == exact[c] else totals[0, c] / rows
    for block in range(len(blocks)):
        here = min(size // channels, rows - block * (size // channels))
        for c in range(channels):
            d = blocks[block, 1, c] - exact[c]
            totals[1, c] += blocks[block, 2, c] + d * d * here
    for c in range(channels):
        variance[c] = totals[1, c] / rows


@compiled_part
def _normalization(mean: Any, variance: Any, weight: Any, bias: Any, eps: float, width: int) -> Any:
    """Return tiles with which v is normalised: (v - center) * scale + shift."""
    values = np.empty((3, len(mean)), mean.dtype)
    for c in range(len(mean)):
        values[0, c] = mean[c]
        values[1, c] = weight[c] / math.sqrt(np.float64(variance[c]) + eps)
        values[2, c] = bias[c]
    return _laid_out(values, width)


@compiled
def normalize(
    part: int,
    first: int,
    last: int,
    x: Any,
    out: Any,
    mean: Any,
    variance: Any,
    weight: Any,
    bias: Any,
    eps: float,
    width: int,
    swap: int,
    formula: Any,
) -> None:
    """Tiles of out = act(bn(x)), or bn(act(x))."""
    norm = _normalization(mean, variance, weight, bias, eps, width)
    center, scale, shift = norm[0], norm[1], norm[2]
    activated = np.empty(width, x.dtype)
    for tile in range(first, last):
        start = tile * width
        end = min(start + width, x.size)
        values, target = stretch(x, start, end), stretch(out, start, end)
        if formula.value and not swap:
            call_normalized_value(formula.value, values, center, scale, shift, target, formula.p, formula.q)
            continue
        if formula.value:
            values = stretch(activated, 0, end - start)
            call_value(formula.value, stretch(x, start, end), values, formula.p, formula.q)
        for j in range(end - start):
            target[j] = (values[j] - center[j]) * scale[j] + shift[j]


@compiled
def block_gradient_sums(
    part: int,
    first: int,
    last: int,
    grad: Any,
    x: Any,
    blocks: Any,
    mean: Any,
    variance: Any,
    weight: Any,
    bias: Any,
    eps: float,
    size: int,
    width: int,
    swap: int,
    formula: Any,
) -> None:
    """blocks[b] = sum of g and of g * (v - mean) in block b, each (C,); g is the gradient of what bn returns."""
    norm = _normalization(mean, variance, weight, bias, eps, width)
    center, scale, shift = norm[0], norm[1], norm[2]
    between = np.empty(width, x.dtype)
    tiles = np.empty((2, width), x.dtype)
    total, products = tiles[0], tiles[1]
    for block in range(first, last):
        tiles[:] = 0.0
        for start in range(block * size, min((block + 1) * size, x.size), width):
            end = min(start + width, (block + 1) * size, x.size)
            values, g = stretch(x, start, end), stretch(grad, start, end)
            here = stretch(between, 0, end - start)
            if formula.value and swap:
                call_value(formula.value, values, here, formula.p, formula.q)
                values = here
            elif formula.value:
                call_normalized_gradient(formula.gradient, g, values, center, scale, shift, here, formula.p, formula.q)
                g = here
            for j in range(end - start):
                total[j] += g[j]
                products[j] += g[j] * (values[j] - center[j])
        _add_up(tiles, blocks[block])


@compiled
def combine_gradient_sums(blocks: Any, variance: Any, eps: float, grad_weight: Any, grad_bias: Any) -> None:
    """The gradients of weight and bias, from `block_gradient_sums`."""
    channels = len(variance)
    totals = np.zeros((2, channels), np.float64)
    for block in range(len(blocks)):
        for c in range(channels):
            totals[0, c] += blocks[block, 0, c]
            totals[1, c] += blocks[block, 1, c]
    for c in range(channels):
        grad_bias[c] = totals[0, c]
        grad_weight[c] = totals[1, c] / math.sqrt(np.float64(variance[c]) + eps)


@compiled
def input_gradient(
    part: int,
    first: int,
    last: int,
    grad: Any,
    x: Any,
    out: Any,
    mean: Any,
    variance: Any,
    weight: Any,
    bias: Any,
    eps: float,
    grad_weight: Any,
    grad_bias: Any,
    of_batch: int,
    width: int,
    swap: int,
    formula: Any,
) -> None:
    """Tiles of the gradient of x. With n = normalised v and M rows, that of v is

    scale * (g - grad_bias / M - n * grad_weight / M)   where mean and variance are those of v (of_batch = 1),
    scale * g                                           where they are constants (of_batch = 0).
    """
    rows = x.size // len(mean)
    norm = _normalization(mean, variance, weight, bias, eps, width)
    center, scale, shift = norm[0], norm[1], norm[2]
    corrections = np.empty((2, len(mean)), mean.dtype)
    for c in range(len(mean)):
        std = math.sqrt(np.float64(variance[c]) + eps)
        corrections[0, c] = -weight[c] / std * grad_bias[c] / rows
        corrections[1, c] = -weight[c] / std * grad_weight[c] / (std * rows)
    correction = _laid_out(corrections, width)
    level, slope = correction[0], correction[1]
    activated, between = np.empty(width, x.dtype), np.empty(width, x.dtype)
    for tile in range(first, last):
        start = tile * width
        end = min(start + width, x.size)
        values, g, target = stretch(x, start, end), stretch(grad, start, end), stretch(out, start, end)
        here = stretch(between, 0, end - start)
        if formula.value and swap:
            values = stretch(activated, 0, end - start)
            call_value(formula.value, stretch(x, start, end), values, formula.p, formula.q)
            target = here
        elif formula.value:
            call_normalized_gradient(formula.gradient, g, values, center, scale, shift, here, formula.p, formula.q)
            g = here
        if of_batch:
            for j in range(end - start):
                target[j] = (g[j] * scale[j] + level[j]) + (values[j] - center[j]) * slope[j]
        else:
            for j in range(end - start):
                target[j] = g[j] * scale[j]
        if formula.value and swap:
            source = values if formula.from_output else stretch(x, start, end)
            call_gradient(formula.gradient, target, source, stretch(out, start, end), formula.p, formula.q)
