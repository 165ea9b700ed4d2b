"""Winograd convolution: how the work is cut up, and for which shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import Kernels
from .direct_kernels import AS_IT_IS, TURNED, pack_weight, unpack_weight_grad
from .gemm import gemm_address
from .launch import launch, number_of_parts
from .layout import images_of
from .tile import VECTOR_BYTES
from .winograd_kernels import (
    Cut,
    Matrices,
    convolve_blocks,
    convolve_panels,
    place_matrices,
    row_distance,
    transform_blocks,
    transform_weights,
    weight_grad_blocks,
    weight_grad_panels,
)
from .winograd_transforms import transform_address

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

_FLOPS_PER_NANOSECOND = 200.0
_BLOCK_BYTES = 1 << 19
_GRAD_BLOCK_BYTES = 1 << 20
_PANEL_TILES = 64
_PANEL_CHANNELS = 128
_WEIGHTS_BYTES = 1 << 22
_SUMS_BYTES = 1 << 22


class WinogradConvolution(Kernels):
    """Convolutions with 3x3 kernels, without stride, dilation and groups, by tiles of 2x2 or 4x4 outputs."""

    def winograd_conv2d(self, x: Any, weight: Any, bias: Any, padding: Padding, tile: int) -> Any:
        """As `conv2d`."""
        height, width = (x.shape[2 + d] + sum(padding[d]) - 2 for d in (0, 1))
        offset = (padding[0][0], padding[1][0])
        return self._winograd(images_of(x), weight, AS_IT_IS, bias, offset, (height, width), tile)

    def winograd_input_grad(self, grad: Any, weight: Any, input_size: Pair, padding: Padding, tile: int) -> Any:
        """As `conv2d_input_grad`."""
        offset = (2 - padding[0][0], 2 - padding[1][0])
        return self._winograd(images_of(grad), weight, TURNED, None, offset, input_size, tile)

    def winograd_weight_grad(self, x: Any, grad: Any, padding: Padding, tile: int) -> Any:
        """As `conv2d_weight_grad`."""
        x, grad = images_of(x), images_of(grad)
        dtype, scalar, size = x.dtype, x.dtype.name, x.itemsize
        channels, out_channels = x.shape[3], grad.shape[3]
        cut, grad_cut = _cuts(x.shape, grad.shape, (padding[0][0], padding[1][0]), size, tile)
        to_points = _transform(scalar, "input", tile, channels)
        grad_to_points = _transform(scalar, "grad", tile, out_channels)
        to_weights = _transform(scalar, "weight_grad", tile, out_channels)
        gemm = gemm_address(scalar)
        side = tile + 2
        tiles = len(x) * cut.down * cut.across
        row, grad_row = row_distance(channels, size), row_distance(out_channels, size)
        nanoseconds = _nanoseconds(side, tiles, channels, out_channels)
        if side * side * channels * grad_row <= _SUMS_BYTES:
            sums_at = place_matrices(side, channels, grad_row)
            block, blocks = _blocks(tiles, _GRAD_BLOCK_BYTES // (side * side * (row + grad_row)))
            points_at, grad_points_at = place_matrices(side, block, row), place_matrices(side, block, grad_row)
            parts = number_of_parts(blocks, nanoseconds)
            partial = self._empty((parts, 3, 3, channels, out_channels), dtype)
            workspace = self._space(parts, points_at, grad_points_at, sums_at)
            launch(
                weight_grad_blocks, blocks, parts, gemm, to_points, grad_to_points, to_weights, tiles, block,
                cut, x.ctypes.data, grad_cut, grad.ctypes.data, partial.ctypes.data, workspace.ctypes.data,
                points_at, grad_points_at, sums_at,
            )  # fmt: skip
        else:
            block, _ = _blocks(tiles, _PANEL_TILES)
            points, points_at = self._points(scalar, "input", tiles, block, cut, x)
            grad_points, grad_points_at = self._points(scalar, "grad", tiles, block, grad_cut, grad)
            width = 2 * VECTOR_BYTES // size
            panel = min(channels, _PANEL_CHANNELS)
            sums_at = place_matrices(side, panel, width * size)
            panels = -(-channels // panel) * -(-out_channels // width)
            parts = number_of_parts(panels, nanoseconds)
            partial = self._empty((1, 3, 3, channels, out_channels), dtype)
            workspace = self._space(parts, sums_at)
            launch(
                weight_grad_panels, panels, parts, gemm, to_weights, tiles, block, panel, width, points.ctypes.data,
                points_at, grad_points.ctypes.data, grad_points_at, partial, workspace.ctypes.data, sums_at,
            )  # fmt: skip
        result = self._empty((out_channels, channels, 3, 3), dtype)
        launch(unpack_weight_grad, out_channels, number_of_parts(out_channels, partial.size), partial, result)
        return result

    def _winograd(self, x: Any, weight: Any, how: int, bias: Any, offset: Pair, out_size: Pair, tile: int) -> Any:
        """Correlate x (N, H, W, C) with the weight as it is or turned; returns (N, O, *out_size)."""
        dtype, scalar, size = x.dtype, x.dtype.name, x.itemsize
        channels, out_channels = x.shape[3], weight.shape[1 if how else 0]
        out = self._empty((len(x), *out_size, out_channels), dtype)
        bias = np.zeros(out_channels, dtype) if bias is None else np.ascontiguousarray(bias)
        cut, out_cut = _cuts(x.shape, out.shape, offset, size, tile)
        to_tiles = _transform(scalar, "output", tile, out_channels)
        to_points = _transform(scalar, "weight", tile, VECTOR_BYTES)
        gemm = gemm_address(scalar)
        side = tile + 2
        tiles = len(x) * cut.down * cut.across
        width = 2 * VECTOR_BYTES // size
        panels = -(-out_channels // width)
        packed = self._empty((panels, 3, 3, channels, width), dtype)
        launch(pack_weight, panels, number_of_parts(panels, packed.size), np.ascontiguousarray(weight), packed, how)
        weights_at = place_matrices(side, channels, width * size)
        nanoseconds = _nanoseconds(side, tiles, channels, out_channels)
        if panels * weights_at.block <= _WEIGHTS_BYTES:
            weights = self._space(panels, weights_at)
            parts = number_of_parts(panels, packed.size)
            launch(transform_weights, panels, parts, to_points, packed, weights.ctypes.data, weights_at)
            row = row_distance(channels, size)
            block, blocks = _blocks(tiles, _BLOCK_BYTES // (side * side * (row + width * size)))
            points_at, results_at = place_matrices(side, block, row), place_matrices(side, block, width * size)
            parts = number_of_parts(blocks, nanoseconds)
            workspace = self._space(parts, points_at, results_at)
            launch(
                convolve_blocks, blocks, parts, gemm, _transform(scalar, "input", tile, channels), to_tiles, tiles,
                block, width, cut, x.ctypes.data, weights.ctypes.data, weights_at, bias.ctypes.data, out_cut, out.ctypes.data,
                workspace.ctypes.data, points_at, results_at,
            )  # fmt: skip
        else:
            block, _ = _blocks(tiles, _PANEL_TILES)
            points, points_at = self._points(scalar, "input", tiles, block, cut, x)
            results_at = place_matrices(side, block, width * size)
            parts = number_of_parts(panels, nanoseconds)
            workspace = self._space(parts, weights_at, results_at)
            launch(
                convolve_panels, panels, parts, gemm, to_points, to_tiles, tiles, block, packed, points.ctypes.data,
                points_at, bias.ctypes.data, out_cut, out.ctypes.data, workspace.ctypes.data, weights_at, results_at,
            )  # fmt: skip
        return out.transpose(0, 3, 1, 2)

    def _points(self, scalar: str, kind: str, tiles: int, block: int, cut: Cut, images: Any) -> tuple[Any, Matrices]:
        """Return all images transformed, and where the matrices of a block lie."""
        tile = cut.step
        at = place_matrices(tile + 2, block, row_distance(cut.channels, cut.size))
        blocks = -(-tiles // block)
        points = self._space(blocks, at)
        code = _transform(scalar, kind, tile, cut.channels)
        parts = number_of_parts(blocks, tiles * cut.channels * 2.0)
        launch(transform_blocks, blocks, parts, code, tiles, block, cut, images.ctypes.data, points.ctypes.data, at)
        return points, at

    def _space(self, count: int, *matrices: Matrices) -> Any:
        return self._empty((count * sum(at.block for at in matrices),), np.uint8)

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return self.device.memory.empty(shape, dtype)


def _cuts(shape: tuple[int, ...], out_shape: tuple[int, ...], offset: Pair, size: int, tile: int) -> tuple[Cut, Cut]:
    """Return how the images (N, H, W, C), and how the outputs are cut into tiles."""
    down, across = -(-out_shape[1] // tile), -(-out_shape[2] // tile)
    return (
        Cut(down, across, tile, tile + 2, *offset, *shape[1:], size),
        Cut(down, across, tile, tile, 0, 0, *out_shape[1:], size),
    )


def _blocks(tiles: int, most: int) -> tuple[int, int]:
    """Return how many tiles a block has, at most, and how many blocks there are, of nearly equal size."""
    blocks = -(-tiles // max(1, most))
    block = -(-tiles // blocks)
    return block, -(-tiles // block)


def _transform(scalar: str, kind: str, tile: int, channels: int) -> int:
    return transform_address(scalar, kind, tile, channels * (4 if scalar == "float32" else 8) % VECTOR_BYTES != 0)


def _nanoseconds(side: int, tiles: int, channels: int, out_channels: int) -> float:
    return 2.0 * side * side * tiles * channels * out_channels / _FLOPS_PER_NANOSECOND
