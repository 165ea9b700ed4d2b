"""Winograd convolution: how the work is cut up, and for which shapes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...backend import get_num_threads
from ..reference import Kernels
from .gemm import gemm_address
from .launch import launch, launch_seated, number_of_parts, number_of_seats
from .layout import SCALARS, images_of
from .tile import VECTOR_BYTES
from .transposition import transpose_address
from .winograd_kernels import (
    Cut,
    Matrices,
    Weights,
    convolve_blocks,
    convolve_panels,
    place_matrices,
    row_distance,
    transform_tiles,
    transform_weights,
    weight_grad_blocks,
    weight_grad_panels,
)
from .winograd_transforms import transform_address

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

_FLOPS_PER_NANOSECOND = 200.0
_BLOCK_BYTES = 1 << 19
_GRAD_BLOCK_BYTES = 1 << 19
_PANEL_TILES = 128
_PANEL_CHANNELS = 256
_WEIGHTS_BYTES = 1 << 22
_SUMS_BYTES = 1 << 22
_PARTIAL_BYTES = 1 << 20
_NANOSECONDS_PER_WEIGHT = 0.8
_NANOSECONDS_PER_VALUE = 4.0


class WinogradConvolution(Kernels):
    """Convolutions with 3x3 kernels, without stride, dilation and groups, by tiles of 2x2 or 4x4 outputs."""

    def winograd_conv2d(self, x: Any, weight: Any, bias: Any, padding: Padding, tile: int) -> Any:
        """As `conv2d`."""
        height, width = (x.shape[2 + d] + sum(padding[d]) - 2 for d in (0, 1))
        offset = (padding[0][0], padding[1][0])
        return self._winograd(images_of(x), weight, False, bias, offset, (height, width), tile)

    def winograd_input_grad(self, grad: Any, weight: Any, input_size: Pair, padding: Padding, tile: int) -> Any:
        """As `conv2d_input_grad`."""
        offset = (2 - padding[0][0], 2 - padding[1][0])
        return self._winograd(images_of(grad), weight, True, None, offset, input_size, tile)

    def winograd_weight_grad(self, x: Any, grad: Any, padding: Padding, tile: int) -> Any:
        """As `conv2d_weight_grad`."""
        x, grad = images_of(x), images_of(grad)
        dtype, scalar, size = x.dtype, SCALARS[x.dtype], x.itemsize
        channels, out_channels = x.shape[3], grad.shape[3]
        cut, grad_cut = _cuts(x.shape, grad.shape, (padding[0][0], padding[1][0]), size, tile)
        side = tile + 2
        tiles = len(x) * cut.down * cut.across
        nanoseconds = _nanoseconds(side, tiles, channels, out_channels)
        shape = Weights(out_channels, channels, 0, 2 * VECTOR_BYTES // size, size)
        taps_at = _taps(shape)
        gemm, transpose = gemm_address(scalar), transpose_address(scalar)
        to_weights = transform_address(scalar, "weight_grad", tile, False)
        row, grad_row = row_distance(channels, size), row_distance(out_channels, size)
        sums = side * side * channels * grad_row
        if sums <= _SUMS_BYTES:
            sums_at = place_matrices(side, channels, grad_row)
            block, blocks = _blocks(tiles, _GRAD_BLOCK_BYTES // (side * side * (row + grad_row)))
            points_at, grad_points_at = place_matrices(side, block, row), place_matrices(side, block, grad_row)
            threads = get_num_threads()
            parts = number_of_parts(blocks, nanoseconds, max(threads, min(4 * threads, _PARTIAL_BYTES // sums)))
            memory = self.device.memory
            partial = (memory.empty if parts == 1 else memory.workspace)((parts, out_channels, channels, 3, 3), dtype)
            seats = number_of_seats(parts)
            workspace, space = self._workspace(seats, taps_at, grad_points_at, points_at, sums_at)
            launch_seated(
                weight_grad_blocks, blocks, parts, seats, gemm, transpose, _transform(scalar, "input", tile, channels),
                _transform(scalar, "grad", tile, out_channels), to_weights, tiles, block, blocks, parts, cut,
                x.ctypes.data, grad_cut, grad.ctypes.data, partial.ctypes.data, shape, workspace.ctypes.data, space,
                points_at, grad_points_at, sums_at,
            )  # fmt: skip
            if parts == 1:
                return partial[0]
            result = self._empty(partial.shape[1:], dtype)
            return np.add.reduce(partial, axis=0, out=result)
        block, _ = _blocks(tiles, _PANEL_TILES)
        points, points_at = self._points(scalar, "input", tiles, block, cut, x)
        grad_points, grad_points_at = self._points(scalar, "grad", tiles, block, grad_cut, grad)
        chunk = min(channels, _PANEL_CHANNELS)
        sums_at = place_matrices(side, chunk, shape.width * size)
        pieces = -(-channels // chunk) * -(-out_channels // shape.width)
        parts = number_of_parts(pieces, nanoseconds)
        seats = number_of_seats(parts)
        result = self._empty((out_channels, channels, 3, 3), dtype)
        workspace, space = self._workspace(seats, taps_at, sums_at)
        launch_seated(
            weight_grad_panels, pieces, parts, seats, gemm, transpose, to_weights, tiles, block, chunk,
            points.ctypes.data, points_at, grad_points.ctypes.data, grad_points_at, result.ctypes.data, shape,
            workspace.ctypes.data, space, sums_at,
        )  # fmt: skip
        return result

    def _winograd(self, x: Any, weight: Any, turned: bool, bias: Any, offset: Pair, out_size: Pair, tile: int) -> Any:
        """Correlate x (N, H, W, C) with the weight as it is or turned; returns (N, O, *out_size)."""
        dtype, scalar, size = x.dtype, SCALARS[x.dtype], x.itemsize
        weight = np.ascontiguousarray(weight)
        channels, out_channels = x.shape[3], weight.shape[1 if turned else 0]
        out = self._empty((len(x), *out_size, out_channels), dtype)
        bias = np.zeros(out_channels, dtype) if bias is None else np.ascontiguousarray(bias)
        cut, out_cut = _cuts(x.shape, out.shape, offset, size, tile)
        side = tile + 2
        tiles = len(x) * cut.down * cut.across
        nanoseconds = _nanoseconds(side, tiles, channels, out_channels)
        shape = Weights(out_channels, channels, int(turned), 2 * VECTOR_BYTES // size, size)
        width, taps_at = shape.width, _taps(shape)
        panels = -(-out_channels // width)
        gemm, transpose = gemm_address(scalar), transpose_address(scalar)
        to_points = transform_address(scalar, "weight", tile, False)
        to_tiles = _transform(scalar, "output", tile, out_channels)
        weights_at = place_matrices(side, channels, width * size)
        if panels * weights_at.block <= _WEIGHTS_BYTES:
            weights = self.device.memory.workspace((panels * weights_at.block,), np.uint8)
            parts = number_of_parts(panels, weight.size * _NANOSECONDS_PER_WEIGHT)
            seats = number_of_seats(parts)
            workspace, space = self._workspace(seats, taps_at)
            launch_seated(
                transform_weights, panels, parts, seats, transpose, to_points, weight.ctypes.data, shape,
                workspace.ctypes.data, space, weights.ctypes.data, weights_at,
            )  # fmt: skip
            row = row_distance(channels, size)
            block, blocks = _blocks(tiles, _BLOCK_BYTES // (side * side * (row + width * size)))
            points_at, results_at = place_matrices(side, block, row), place_matrices(side, block, width * size)
            parts = number_of_parts(blocks, nanoseconds)
            seats = number_of_seats(parts)
            workspace, space = self._workspace(seats, points_at, results_at)
            launch_seated(
                convolve_blocks, blocks, parts, seats, gemm, _transform(scalar, "input", tile, channels), to_tiles,
                tiles, block, width, cut, x.ctypes.data, weights.ctypes.data, weights_at, bias.ctypes.data, out_cut,
                out.ctypes.data, workspace.ctypes.data, space, points_at, results_at,
            )  # fmt: skip
        else:
            block, _ = _blocks(tiles, _PANEL_TILES)
            points, points_at = self._points(scalar, "input", tiles, block, cut, x)
            results_at = place_matrices(side, block, width * size)
            parts = number_of_parts(panels, nanoseconds)
            seats = number_of_seats(parts)
            workspace, space = self._workspace(seats, taps_at, weights_at, results_at)
            launch_seated(
                convolve_panels, panels, parts, seats, gemm, transpose, to_points, to_tiles, tiles, block,
                weight.ctypes.data, shape, points.ctypes.data, points_at, bias.ctypes.data, out_cut, out.ctypes.data,
                workspace.ctypes.data, space, weights_at, results_at,
            )  # fmt: skip
        return out.transpose(0, 3, 1, 2)

    def _points(self, scalar: str, kind: str, tiles: int, block: int, cut: Cut, images: Any) -> tuple[Any, Matrices]:
        """Return all images transformed, and where the matrices of a block lie."""
        tile = cut.step
        at = place_matrices(tile + 2, block, row_distance(cut.channels, cut.size))
        blocks = -(-tiles // block)
        points, _ = self._workspace(blocks, at)
        code = _transform(scalar, kind, tile, cut.channels)
        parts = number_of_parts(tiles, tiles * cut.channels * _NANOSECONDS_PER_VALUE)
        launch(transform_tiles, tiles, parts, code, block, cut, images.ctypes.data, points.ctypes.data, at)
        return points, at

    def _workspace(self, number: int, *matrices: Matrices) -> tuple[Any, int]:
        """Return memory for a number of threads, parts or blocks, and how much each of them has."""
        space = sum(at.block for at in matrices)
        return self.device.memory.workspace((number * space,), np.uint8), space

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return self.device.memory.empty(shape, dtype)


@lru_cache(maxsize=512)
def _cuts(shape: tuple[int, ...], out_shape: tuple[int, ...], offset: Pair, size: int, tile: int) -> tuple[Cut, Cut]:
    """Return how the images (N, H, W, C), and how the outputs are cut into tiles."""
    down, across = -(-out_shape[1] // tile), -(-out_shape[2] // tile)
    return (
        Cut(down, across, tile, tile + 2, *offset, shape[1], shape[2], shape[3], size),
        Cut(down, across, tile, tile, 0, 0, out_shape[1], out_shape[2], out_shape[3], size),
    )


@lru_cache(maxsize=512)
def _taps(shape: Weights) -> Matrices:
    """Return room for the taps of as many input channels as a vector has lanes."""
    return place_matrices(3, shape.width // 2, shape.width * shape.size)


def _blocks(tiles: int, most: int) -> tuple[int, int]:
    """Return how many tiles a block has, and how many blocks there are: the same number for every thread."""
    threads = get_num_threads()
    blocks = -(-tiles // (max(1, most) * threads)) * threads
    block = -(-tiles // blocks)
    return block, -(-tiles // block)


def _transform(scalar: str, kind: str, tile: int, channels: int) -> int:
    return transform_address(scalar, kind, tile, channels * (4 if scalar == "float32" else 8) % VECTOR_BYTES != 0)


def _nanoseconds(side: int, tiles: int, channels: int, out_channels: int) -> float:
    return 2.0 * side * side * tiles * channels * out_channels / _FLOPS_PER_NANOSECOND
