"""Sums over everything but the channels: the gradients of biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import Kernels
from .compiler import compiled
from .launch import launch, number_of_parts
from .layout import FLOATS
from .stretch import stretch

_BLOCK_VALUES = 16_384
_WIDTH = 1_024
_SMALLEST = 4_096
_VALUES_PER_NANOSECOND = 4.0


@compiled
def block_sums(part: int, first: int, last: int, x: Any, sums: Any, size: int, width: int) -> None:
    """sums[b] = the sum of each channel in block b of x, flat rows of channels; `size` values to a block.

    Within a block a few rows are seen as one long row of `width` values, so that the loop is long for any number of
    channels and each sum has few terms; the rest is added up in float64.
    """
    channels = sums.shape[1]
    total = np.empty(width, x.dtype)
    for block in range(first, last):
        values = stretch(x, block * size, min((block + 1) * size, x.size))
        total[:] = 0.0
        for start in range(0, values.size, width):
            row = stretch(values, start, min(start + width, values.size))
            for j in range(row.size):
                total[j] += row[j]
        sums[block] = 0.0
        for start in range(0, width, channels):
            for c in range(channels):
                sums[block, c] += total[start + c]


class ReductionOverrides(Kernels):
    """Sums of channels-last images, and of the rows of matrices, down to one value per channel."""

    def sum(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        images = x.ndim == 4 and axes == (0, 2, 3)
        if keepdims or x.size < _SMALLEST or x.dtype not in FLOATS or not (images or (x.ndim == 2 and axes == (0,))):
            return super().sum(x, axes, keepdims)
        rows = x.transpose(0, 2, 3, 1) if images else x
        if not (rows.flags.c_contiguous and rows.flags.writeable):
            return super().sum(x, axes, keepdims)
        channels = rows.shape[-1]
        width = max(1, _WIDTH // channels) * channels
        size = max(1, _BLOCK_VALUES // width) * width
        sums = np.empty((-(-x.size // size), channels), np.float64)
        parts = number_of_parts(len(sums), x.size / _VALUES_PER_NANOSECOND)
        launch(block_sums, len(sums), parts, rows.reshape(-1), sums, size, width)
        return sums.sum(axis=0).astype(x.dtype)
