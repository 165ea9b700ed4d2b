"""Winograd convolution: how the work is cut up, and for which shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import Kernels
from .direct_kernels import AS_IT_IS, TURNED, pack_weight
from .gemm import gemm_address
from .launch import launch, number_of_parts
from .layout import images_of
from .tile import VECTOR_BYTES
from .winograd_kernels import Cut, convolve_blocks, make_matrices, row_distance, transform_weights
from .winograd_transforms import transform_address

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

_FLOPS_PER_NANOSECOND = 200.0
_BLOCK_BYTES = 1 << 19


class WinogradConvolution(Kernels):
    """Convolutions with 3x3 kernels, without stride, dilation and groups, by tiles of 2x2 or 4x4 outputs."""

    def winograd_conv2d(self, x: Any, weight: Any, bias: Any, padding: Padding, tile: int) -> Any:
        """As `conv2d`."""
        height, width = (x.shape[2 + d] + sum(padding[d]) - 2 for d in (0, 1))
        return self._winograd(
            images_of(x), weight, AS_IT_IS, bias, (padding[0][0], padding[1][0]), (height, width), tile
        )

    def winograd_input_grad(self, grad: Any, weight: Any, input_size: Pair, padding: Padding, tile: int) -> Any:
        """As `conv2d_input_grad`."""
        offset = (2 - padding[0][0], 2 - padding[1][0])
        return self._winograd(images_of(grad), weight, TURNED, None, offset, input_size, tile)

    def _winograd(self, x: Any, weight: Any, how: int, bias: Any, offset: Pair, out_size: Pair, tile: int) -> Any:
        empty = self.device.memory.empty
        batch, height, width, channels = x.shape
        out_channels = weight.shape[1 if how else 0]
        dtype = x.dtype
        size, scalar = dtype.itemsize, dtype.name
        lanes = VECTOR_BYTES // size
        panel = 2 * lanes
        out = empty((batch, *out_size, out_channels), dtype)
        bias = np.zeros(out_channels, dtype) if bias is None else np.ascontiguousarray(bias)
        down, across = (-(-length // tile) for length in out_size)
        cut = Cut(down, across, tile, tile + 2, *offset, height, width, channels, size)
        out_cut = Cut(down, across, tile, tile, 0, 0, *out_size, out_channels, size)
        points = (tile + 2) ** 2
        tiles = batch * down * across
        panels = -(-out_channels // panel)
        weight = np.ascontiguousarray(weight)
        packed = empty((panels, 3, 3, channels, panel), dtype)
        launch(pack_weight, panels, number_of_parts(panels, packed.size), weight, packed, how)
        weights_at = make_matrices(points, channels, panel * size)
        weights = empty((panels * weights_at.block,), np.uint8)
        code = transform_address(scalar, "weight", tile, False)
        launch(
            transform_weights,
            panels,
            number_of_parts(panels, packed.size),
            code,
            channels,
            panel,
            packed,
            weights.ctypes.data,
            weights_at,
        )
        row = row_distance(channels, size)
        block = max(1, min(tiles, _BLOCK_BYTES // (points * (row + panel * size))))
        blocks = -(-tiles // block)
        block = -(-tiles // blocks)
        blocks = -(-tiles // block)
        points_at, results_at = make_matrices(points, block, row), make_matrices(points, block, panel * size)
        space = points_at.block + results_at.block + points * max(channels, panel) * size
        space = (space | 4095) + 1 + 64
        parts = number_of_parts(blocks, 2.0 * points * tiles * channels * out_channels / _FLOPS_PER_NANOSECOND)
        workspace = empty((parts * space,), np.uint8)
        codes = (
            transform_address(scalar, "input", tile, channels % lanes != 0),
            transform_address(scalar, "output", tile, out_channels % lanes != 0),
        )
        launch(
            convolve_blocks,
            blocks,
            parts,
            gemm_address(scalar),
            codes,
            tiles,
            block,
            panel,
            cut,
            x.ctypes.data,
            weights.ctypes.data,
            weights_at,
            bias.ctypes.data,
            out_cut,
            out.ctypes.data,
            workspace.ctypes.data,
            space,
            points_at,
            results_at,
        )
        return out.transpose(0, 3, 1, 2)
