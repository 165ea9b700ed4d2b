"""Winograd convolution and its weight gradient: tiles to points, one matrix product for each point, and back.

Images are cut into blocks of tiles. At each of the points, the values of a block are a matrix (tiles, channels), and
the weights are one (channels, output channels). The weights are cut into panels of as many output channels as a tile of
the matrix product takes. What a part of the work needs at a time stays in the caches of its core:

* where there are many tiles, a part takes blocks, with the weights of all output channels;
* where there are few tiles and many channels, a part takes panels, with the values of all tiles.

Arrays are given by their addresses; addresses and distances are in bytes. `space` is how much of the workspace is for
each part, and starts with room for the taps of as many input channels as a vector has lanes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .compiler import compiled, compiled_part
from .gemm import call_gemm
from .transposition import call_transpose
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


@lru_cache(maxsize=512)
def place_matrices(side: int, rows: int, row: int) -> Matrices:
    """Return where matrices lie that have rows at the distance `row`."""
    matrix = (-(-rows * row // _LINE) | 1) * _LINE
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


class Weights(NamedTuple):
    """Weights (columns, depth, 3, 3), or (depth, columns, 3, 3) to be turned by 180 degrees, and how they are cut.

    A panel has `width` columns, two vectors.
    """

    columns: int
    depth: int
    turned: int
    width: int
    size: int


@compiled_part
def weights_to_points(
    transpose: int,
    code: int,
    weight: int,
    shape: Weights,
    panel: int,
    taps: int,
    target: int,
    to: Matrices,
) -> None:
    """Transform a panel's weights."""
    start, lanes, size = panel * shape.width, shape.width // 2, shape.size
    columns = min(shape.width, shape.columns - start)
    row = shape.width * size
    if shape.turned:
        for k in range(shape.depth):
            source = weight + (k * shape.columns + start) * 9 * size
            for half in range(0, columns, lanes):
                some = min(lanes, columns - half)
                for tap in range(0, 9, lanes):
                    place, to_place = source + (half * 9 + tap) * size, taps + tap * row + half * size
                    call_transpose(transpose, some, min(lanes, 9 - tap), place, 9 * size, to_place, row)
            place = target + k * to.row
            call_transform(code, columns, taps + 8 * row, -3 * row, -row, place, to.side * to.matrix, to.matrix, 0, 0)
        return
    for begin in range(0, shape.depth, lanes):
        rows = min(lanes, shape.depth - begin)
        source = weight + (start * shape.depth + begin) * 9 * size
        for half in range(0, columns, lanes):
            some = min(lanes, columns - half)
            for tap in range(0, rows * 9, lanes):
                place, to_place = source + (half * shape.depth * 9 + tap) * size, taps + tap * row + half * size
                call_transpose(
                    transpose, some, min(lanes, rows * 9 - tap), place, shape.depth * 9 * size, to_place, row
                )
        for k in range(rows):
            place = target + (begin + k) * to.row
            source = taps + k * 9 * row
            call_transform(code, columns, source, 3 * row, row, place, to.side * to.matrix, to.matrix, 0, 0)


@compiled_part
def points_to_weights(
    transpose: int,
    code: int,
    rows: int,
    columns: int,
    source: int,
    at: Matrices,
    taps: int,
    target: int,
    shape: Weights,
) -> None:
    """Transform matrices of some input channels and a panel's columns into their part of the weights at `target`."""
    lanes, size = shape.width // 2, shape.size
    row = shape.width * size
    for begin in range(0, rows, lanes):
        some = min(lanes, rows - begin)
        for k in range(some):
            place = source + (begin + k) * at.row
            call_transform(code, columns, place, at.side * at.matrix, at.matrix, taps + k * 9 * row, 3 * row, row, 0, 0)
        for half in range(0, columns, lanes):
            for tap in range(0, some * 9, lanes):
                call_transpose(
                    transpose, min(lanes, some * 9 - tap), min(lanes, columns - half),
                    taps + tap * row + half * size, row,
                    target + ((half * shape.depth + begin) * 9 + tap) * size, shape.depth * 9 * size,
                )  # fmt: skip


@compiled_part
def multiply(
    gemm: int,
    rows: int,
    columns: int,
    depth: int,
    a: int,
    a_at: Matrices,
    a_row: int,
    a_column: int,
    b: int,
    b_at: Matrices,
    c: int,
    c_at: Matrices,
    add: int,
) -> None:
    """C (rows, columns) (+)= A (rows, depth) @ B (depth, columns) at every point; A may be transposed."""
    for p in range(a_at.side * a_at.side):
        a_now, b_now, c_now = a + p * a_at.matrix, b + p * b_at.matrix, c + p * c_at.matrix
        call_gemm(gemm, rows, columns, depth, a_now, a_row, a_column, b_now, b_at.row, c_now, c_at.row, add)


@compiled
def transform_weights(
    seat: int,
    first: int,
    last: int,
    transpose: int,
    code: int,
    weight: int,
    shape: Weights,
    workspace: int,
    space: int,
    target: int,
    to: Matrices,
) -> None:
    """Transform panels first..last of the weights."""
    taps = workspace + seat * space
    for panel in range(first, last):
        weights_to_points(transpose, code, weight, shape, panel, taps, target + panel * to.block, to)


@compiled
def transform_tiles(
    part: int, first: int, last: int, code: int, block: int, cut: Cut, images: int, target: int, to: Matrices
) -> None:
    """Transform tiles first..last into blocks of `block` tiles."""
    begin = first
    while begin < last:
        number = begin // block
        end = min(last, number * block + block)
        place = target + number * to.block + begin % block * to.row
        tiles_to_points(code, begin, end, cut, images, place, to)
        begin = end


@compiled
def convolve_blocks(
    seat: int,
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
    space: int,
    points_at: Matrices,
    results_at: Matrices,
) -> None:
    """Convolve blocks first..last of the images with transformed weights."""
    points = workspace + seat * space
    results = points + points_at.block
    size = cut.size
    for number in range(first, last):
        begin, end = number * block, min(number * block + block, tiles)
        tiles_to_points(to_points, begin, end, cut, images, points, points_at)
        for start in range(0, out_cut.channels, width):
            columns = min(width, out_cut.channels - start)
            panel = weights + start // width * weights_at.block
            multiply(
                gemm, end - begin, columns, cut.channels, points, points_at, points_at.row, size,
                panel, weights_at, results, results_at, 0,
            )  # fmt: skip
            place = start * size
            points_to_tiles(to_tiles, begin, end, columns, results, results_at, bias + place, out_cut, out + place)


@compiled
def convolve_panels(
    seat: int,
    first: int,
    last: int,
    gemm: int,
    transpose: int,
    to_points: int,
    to_tiles: int,
    tiles: int,
    block: int,
    weight: int,
    shape: Weights,
    points: int,
    points_at: Matrices,
    bias: int,
    out_cut: Cut,
    out: int,
    workspace: int,
    space: int,
    weights_at: Matrices,
    results_at: Matrices,
) -> None:
    """Convolve transformed images with panels first..last of the weights."""
    taps = workspace + seat * space
    results = workspace + seat * space + space - results_at.block
    weights = results - weights_at.block
    for panel in range(first, last):
        columns = min(shape.width, shape.columns - panel * shape.width)
        place = panel * shape.width * shape.size
        weights_to_points(transpose, to_points, weight, shape, panel, taps, weights, weights_at)
        for begin in range(0, tiles, block):
            end = min(begin + block, tiles)
            multiply(
                gemm, end - begin, columns, shape.depth, points + begin // block * points_at.block, points_at,
                points_at.row, shape.size, weights, weights_at, results, results_at, 0,
            )  # fmt: skip
            points_to_tiles(to_tiles, begin, end, columns, results, results_at, bias + place, out_cut, out + place)


@compiled
def weight_grad_blocks(
    seat: int,
    first: int,
    last: int,
    gemm: int,
    transpose: int,
    to_points: int,
    grad_to_points: int,
    to_weights: int,
    tiles: int,
    block: int,
    blocks: int,
    parts: int,
    cut: Cut,
    images: int,
    grad_cut: Cut,
    grads: int,
    partial: int,
    shape: Weights,
    workspace: int,
    space: int,
    points_at: Matrices,
    grad_points_at: Matrices,
    sums_at: Matrices,
) -> None:
    """Write what blocks first..last of `blocks` give into one of the partial gradients (parts, O, C, 3, 3)."""
    taps = workspace + seat * space
    sums = workspace + seat * space + space - sums_at.block
    points = sums - points_at.block
    grad_points = points - grad_points_at.block
    for number in range(first, last):
        begin, end = number * block, min(number * block + block, tiles)
        tiles_to_points(to_points, begin, end, cut, images, points, points_at)
        tiles_to_points(grad_to_points, begin, end, grad_cut, grads, grad_points, grad_points_at)
        multiply(
            gemm, shape.depth, shape.columns, end - begin, points, points_at, cut.size, points_at.row,
            grad_points, grad_points_at, sums, sums_at, int(number > first),
        )  # fmt: skip
    one = shape.depth * 9 * shape.size
    part = (first * parts + blocks - 1) // blocks  # which `launch` cut so that it begins at `first`
    target = partial + part * shape.columns * one
    for start in range(0, shape.columns, shape.width):
        columns = min(shape.width, shape.columns - start)
        source = sums + start * shape.size
        points_to_weights(
            transpose, to_weights, shape.depth, columns, source, sums_at, taps, target + start * one, shape
        )


@compiled
def weight_grad_panels(
    seat: int,
    first: int,
    last: int,
    gemm: int,
    transpose: int,
    to_weights: int,
    tiles: int,
    block: int,
    chunk: int,
    points: int,
    points_at: Matrices,
    grad_points: int,
    grad_points_at: Matrices,
    gradient: int,
    shape: Weights,
    workspace: int,
    space: int,
    sums_at: Matrices,
) -> None:
    """Write pieces first..last of the gradient (O, C, 3, 3), of a panel and `chunk` input channels each."""
    taps = workspace + seat * space
    sums = workspace + seat * space + space - sums_at.block
    size = shape.size
    chunks = -(-shape.depth // chunk)
    for number in range(first, last):
        k, start = number % chunks * chunk, number // chunks * shape.width
        rows, columns = min(chunk, shape.depth - k), min(shape.width, shape.columns - start)
        for p in range(sums_at.side * sums_at.side):
            for begin in range(0, tiles, block):
                place = begin // block
                a = points + place * points_at.block + p * points_at.matrix + k * size
                b = grad_points + place * grad_points_at.block + p * grad_points_at.matrix + start * size
                call_gemm(
                    gemm, rows, columns, min(block, tiles - begin), a, size, points_at.row, b, grad_points_at.row,
                    sums + p * sums_at.matrix, sums_at.row, int(begin > 0),
                )  # fmt: skip
        target = gradient + (start * shape.depth + k) * 9 * size
        points_to_weights(transpose, to_weights, rows, columns, sums, sums_at, taps, target, shape)
