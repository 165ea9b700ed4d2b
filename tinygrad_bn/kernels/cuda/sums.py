"""Sums over everything but the channels: the gradients of biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import CudaBase
from .launch import tiling, width_of
from .layout import is_covered, real_of, rows_of

_MOST_CHANNELS_AT_ONCE = 4


class SumOverrides(CudaBase):
    """Sums of images (N, C, H, W), and of the rows of matrices, to one value per channel, always in the same order."""

    def sum(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        to_channels = axes == (0, 2, 3) if x.ndim == 4 else axes == (0,) and x.ndim == 2
        if keepdims or not to_channels or x.size == 0 or not is_covered(x.dtype):
            return super().sum(x, axes, keepdims)
        rows = rows_of(x)
        count, channels = rows.shape
        width = width_of(channels, rows)
        tiles = tiling(count, channels // width)
        across, parts = tiles.grid
        partials = None
        if parts > 1:
            room = across * parts * tiles.block[0] * _MOST_CHANNELS_AT_ONCE * 2
            partials = self.xp.empty(room, real_of(x.dtype))
        sums = self.xp.empty(channels, x.dtype)
        walk = (np.int64(count), np.int32(channels), np.int64(tiles.rows), np.int32(width > 1))
        arguments = (rows, *walk, partials, self.arrived, sums)
        self.program.kernel("column_sums", x.dtype)(tiles.grid, tiles.block, arguments)
        return sums
