"""Winograd convolution and its weight gradient: tiles to points, one matrix product for each point, and back.

Images are cut into blocks of tiles. At each of the points, the values of a block are a matrix (tiles, channels), and the
weights are one (channels, output channels). What a part of the work needs at a time stays in the caches of its core:

* where there are many tiles, a part takes blocks, with the weights of all output channels;
* where there are few tiles and many channels, a part takes panels of output channels, with the values of all tiles.

Images, points and workspaces are given by their addresses; addresses and distances are in bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .compiler import compiled, compiled_part
from .gemm import call_gemm
from .winograd_transforms import call_transform

_LINE = 64
_MANY_LINES = 16


class Cut(NamedTuple):
    """How images (N, height, width, channels) are cut into tiles, `down` times `across` each.

    Tile (i, j) has `reach` rows and columns and begins at row `step * i - top` and column `step * j - left`.
    """

    down: int
    across: int
    step: int
    reach: int
    top: int
    left: int
    height: int
    width: int
    channels: int
    size: int


class Matrices(NamedTuple):
    """Where the matrices of a block lie, one for each of side * side points: distances of rows, matrices and blocks."""

    side: int
    row: int
    matrix: int
    block: int


def row_distance(columns: int, size: int) -> int:
    """Return a good distance between rows: large powers of two would make them compete for the same cache lines."""
    lines = -(-columns * size // _LINE)
    return (lines | 1 if lines >= _MANY_LINES else lines) * _LINE


def place_matrices(side: int, rows: int, row: int) -> Matrices:
    """Return where matrices lie that have rows at the distance `row`."""
    matrix = (rows * row // _LINE | 1) * _LINE
    return Matrices(side, row, matrix, side * side * matrix)


@compiled_part
def bits_inside(begin: int, reach: int, length: int) -> int:
    """Return bit i set for each i < reach where 0 <= begin + i < length."""
    before = min(max(-begin, 0), reach)
    until = min(max(length - begin, before), reach)
    return (1 << until) - (1 << before)


@compiled_part
def tiles_to_points(code: int, first: int, last: int, cut: Cut, images: int, target: int, to: Matrices) -> None:
    """Transform tiles first..last into the rows of matrices."""
    pixel = cut.channels * cut.size
    line = cut.width * pixel
    for tile in range(first, last):
        image, place = divmod(tile, cut.down * cut.across)
        y = place // cut.across * cut.step - cut.top
        x = place % cut.across * cut.step - cut.left
        inside = bits_inside(y, cut.reach, cut.height) | bits_inside(x, cut.reach, cut.width) << 8
        source = images + (image * cut.height + y) * line + x * pixel
        row = target + (tile - first) * to.row
        call_transform(code, cut.channels, source, line, pixel, row, to.side * to.matrix, to.matrix, 0, inside)


@compiled_part
def points_to_tiles(
    code: int, first: int, last: int, columns: int, source: int, at: Matrices, bias: int, cut: Cut, images: int
) -> None:
    """Transform the rows of matrices into tiles first..last of some channels, whose first pixel is at `images`."""
    pixel = cut.channels * cut.size
    line = cut.width * pixel
    for tile in range(first, last):
        image, place = divmod(tile, cut.down * cut.across)
        y = place // cut.across * cut.step
        x = place % cut.across * cut.step
        inside = bits_inside(y, cut.reach, cut.height) | bits_inside(x, cut.reach, cut.width) << 8
        target = images + (image * cut.height + y) * line + x * pixel
        row = source + (tile - first) * at.row
        call_transform(code, columns, row, at.side * at.matrix, at.matrix, target, line, pixel, bias, inside)


@compiled_part
def weights_to_points(code: int, depth: int, width: int, size: int, packed: int, target: int, to: Matrices) -> None:
    """Transform one panel of packed weights (3, 3, depth, width)."""
    row = width * size
    for k in range(depth):
        source = packed + k * row
        place = target + k * to.row
        call_transform(code, width, source, 3 * depth * row, depth * row, place, to.side * to.matrix, to.matrix, 0, 0)


@compiled_part
def points_to_weights(
    code: int, rows: int, columns: int, source: int, at: Matrices, target: int, row: int, tap: int
) -> None:
    """Transform matrices (rows, columns) into gradients, where `row` and `tap` are distances in (3, 3, C, O)."""
    for k in range(rows):
        place = source + k * at.row
        call_transform(code, columns, place, at.side * at.matrix, at.matrix, target + k * row, 3 * tap, tap, 0, 0)


@compiled_part
def multiply(
    gemm: int, rows: int, columns: int, depth: int, size: int, a: int, a_at: Matrices, b: int, b_at: Matrices,
    c: int, c_at: Matrices,
) -> None:  # fmt: skip
    """C (rows, columns) = A (rows, depth) @ B (depth, columns) at every point."""
    for p in range(a_at.side * a_at.side):
        a_now, b_now, c_now = a + p * a_at.matrix, b + p * b_at.matrix, c + p * c_at.matrix
        call_gemm(gemm, rows, columns, depth, a_now, a_at.row, size, b_now, b_at.row, c_now, c_at.row, 0)


@compiled_part
def multiply_transposed(
    gemm: int, rows: int, columns: int, depth: int, size: int, a: int, a_at: Matrices, b: int, b_at: Matrices,
    c: int, c_at: Matrices, add: int,
) -> None:  # fmt: skip
    """C (rows, columns) (+)= A^T @ B of A (depth, rows) and B (depth, columns) at every point."""
    for p in range(a_at.side * a_at.side):
        a_now, b_now, c_now = a + p * a_at.matrix, b + p * b_at.matrix, c + p * c_at.matrix
        call_gemm(gemm, rows, columns, depth, a_now, size, a_at.row, b_now, b_at.row, c_now, c_at.row, add)


@compiled
def transform_weights(part: int, first: int, last: int, code: int, packed: Any, target: int, to: Matrices) -> None:
    """Transform panels first..last of packed weights (panels, 3, 3, depth, width)."""
    depth, width = packed.shape[3], packed.shape[4]
    for panel in range(first, last):
        source = packed.ctypes.data + panel * packed.strides[0]
        weights_to_points(code, depth, width, packed.itemsize, source, target + panel * to.block, to)


@compiled
def transform_blocks(
    part: int,
    first: int,
    last: int,
    code: int,
    tiles: int,
    block: int,
    cut: Cut,
    images: int,
    target: int,
    to: Matrices,
) -> None:
    """Transform blocks first..last of `block` tiles each, of `tiles` tiles in all."""
    for number in range(first, last):
        begin = number * block
        tiles_to_points(code, begin, min(begin + block, tiles), cut, images, target + number * to.block, to)


@compiled
def convolve_blocks(
    part: int,
    first: int,
    last: int,
    gemm: int,
    to_points: int,
    to_tiles: int,
    tiles: int,
    block: int,
    width: int,
    cut: Cut,
    images: int,
    weights: int,
    weights_at: Matrices,
    bias: int,
    out_cut: Cut,
    out: int,
    workspace: int,
    points_at: Matrices,
    results_at: Matrices,
) -> None:
    """Convolve blocks first..last of the images with transformed weights, in panels of `width` output channels.

    Args:
        workspace: for each part room for a block of points and a block of results.
    """
    points = workspace + part * (points_at.block + results_at.block)
    results = points + points_at.block
    size = cut.size
    for number in range(first, last):
        begin, end = number * block, min(number * block + block, tiles)
        rows = end - begin
        tiles_to_points(to_points, begin, end, cut, images, points, points_at)
        for start in range(0, out_cut.channels, width):
            columns = min(width, out_cut.channels - start)
            panel = weights + start // width * weights_at.block
            multiply(gemm, rows, columns, cut.channels, size, points, points_at, panel, weights_at, results, results_at)
            place = start * size
            points_to_tiles(to_tiles, begin, end, columns, results, results_at, bias + place, out_cut, out + place)


@compiled
def convolve_panels(
    part: int,
    first: int,
    last: int,
    gemm: int,
    to_points: int,
    to_tiles: int,
    tiles: int,
    block: int,
    packed: Any,
    points: int,
    points_at: Matrices,
    bias: int,
    out_cut: Cut,
    out: int,
    workspace: int,
    weights_at: Matrices,
    results_at: Matrices,
) -> None:
    """Convolve transformed images with panels first..last of packed weights (panels, 3, 3, depth, width).

    Args:
        workspace: for each part room for a panel of weights and a block of results.
    """
    weights = workspace + part * (weights_at.block + results_at.block)
    results = weights + weights_at.block
    depth, width, size = packed.shape[3], packed.shape[4], packed.itemsize
    for panel in range(first, last):
        source = packed.ctypes.data + panel * packed.strides[0]
        weights_to_points(to_points, depth, width, size, source, weights, weights_at)
        columns = min(width, out_cut.channels - panel * width)
        place = panel * width * size
        for begin in range(0, tiles, block):
            end = min(begin + block, tiles)
            a = points + begin // block * points_at.block
            multiply(gemm, end - begin, columns, depth, size, a, points_at, weights, weights_at, results, results_at)
            points_to_tiles(to_tiles, begin, end, columns, results, results_at, bias + place, out_cut, out + place)


@compiled
def weight_grad_blocks(
    part: int,
    first: int,
    last: int,
    gemm: int,
    to_points: int,
    grad_to_points: int,
    to_weights: int,
    tiles: int,
    block: int,
    cut: Cut,
    images: int,
    grad_cut: Cut,
    grads: int,
    partial: int,
    workspace: int,
    points_at: Matrices,
    grad_points_at: Matrices,
    sums_at: Matrices,
) -> None:
    """Write what blocks first..last give into one of the partial gradients (parts, 3, 3, C, O).

    Args:
        workspace: for each part room for a block of points, one of the gradient's points, and sums (C, O).
    """
    points = workspace + part * (points_at.block + grad_points_at.block + sums_at.block)
    grad_points = points + points_at.block
    sums = grad_points + grad_points_at.block
    channels, columns = cut.channels, grad_cut.channels
    for number in range(first, last):
        begin, end = number * block, min(number * block + block, tiles)
        tiles_to_points(to_points, begin, end, cut, images, points, points_at)
        tiles_to_points(grad_to_points, begin, end, grad_cut, grads, grad_points, grad_points_at)
        multiply_transposed(
            gemm, channels, columns, end - begin, cut.size, points, points_at, grad_points, grad_points_at,
            sums, sums_at, int(number > first),
        )  # fmt: skip
    row = columns * cut.size
    target = partial + part * 9 * channels * row
    points_to_weights(to_weights, channels, columns, sums, sums_at, target, row, channels * row)


@compiled
def weight_grad_panels(
    part: int,
    first: int,
    last: int,
    gemm: int,
    to_weights: int,
    tiles: int,
    block: int,
    panel: int,
    width: int,
    points: int,
    points_at: Matrices,
    grad_points: int,
    grad_points_at: Matrices,
    partial: Any,
    workspace: int,
    sums_at: Matrices,
) -> None:
    """Write panels first..last of the gradient (1, 3, 3, C, O), of `panel` channels and `width` output channels each.

    Args:
        workspace: for each part room for the sums of a panel.
    """
    sums = workspace + part * sums_at.block
    channels, out_channels = partial.shape[3], partial.shape[4]
    size, row, tap = partial.itemsize, partial.strides[3], partial.strides[2]
    down = -(-channels // panel)
    for number in range(first, last):
        channel, start = number % down * panel, number // down * width
        rows, columns = min(panel, channels - channel), min(width, out_channels - start)
        for begin in range(0, tiles, block):
            place = begin // block
            a = points + place * points_at.block + channel * size
            b = grad_points + place * grad_points_at.block + start * size
            multiply_transposed(
                gemm, rows, columns, min(block, tiles - begin), size, a, points_at, b, grad_points_at,
                sums, sums_at, int(begin > 0),
            )  # fmt: skip
        target = partial.ctypes.data + channel * row + start * size
        points_to_weights(to_weights, rows, columns, sums, sums_at, target, row, tap)
