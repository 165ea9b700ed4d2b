"""Winograd convolution and its weight gradient: tiles to points, one matrix product for each point, and back.

Images are cut into blocks of tiles. The values of a block at its points are matrices (tiles, channels), one for each of
the P points, and there is a matrix (channels, output channels) of weights for each point. What a part of the work
needs at a time stays in the caches of its core:

* where there are many tiles, a part takes blocks, with the weights of all output channels;
* where there are few tiles and many channels, a part takes panels of output channels, with the points of all tiles.

Addresses and distances are in bytes. Where 2^12 divides the distance between rows, they fall into the same few places of
the first cache: `row_distance` and `matrix_distance` avoid that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiler import compiled, compiled_part
from .gemm import call_gemm
from .winograd_transforms import call_transform

_LINE = 64  # bytes
_MANY_LINES = 16


class Cut(NamedTuple):
    """How images (N, height, width, channels) are cut into tiles: tile (i, j) begins `step * i` rows below -top."""

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
    """Where the P matrices (rows, columns) of a block lie."""

    points: int
    row: int
    matrix: int
    block: int


def row_distance(columns: int, size: int) -> int:
    """Return the distance between the rows of a matrix."""
    lines = -(-columns * size // _LINE)
    return (lines | 1 if lines >= _MANY_LINES else lines) * _LINE


def make_matrices(points: int, rows: int, row: int) -> Matrices:
    """Return where matrices lie whose rows have the distance `row`."""
    matrix = (rows * row // _LINE | 1) * _LINE
    return Matrices(points, row, matrix, points * matrix)


def _copy_bytes(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes from one address to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, source, count = arguments
        pointer = ir.IntType(8).as_pointer()
        cgutils.raw_memcpy(builder, builder.inttoptr(target, pointer), builder.inttoptr(source, pointer), count, 1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


def _clear_bytes(typing_context: Any, target: Any, count: Any) -> Any:
    """Set `count` bytes to zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        cgutils.memset(builder, builder.inttoptr(arguments[0], ir.IntType(8).as_pointer()), arguments[1], 0)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 2), generate


copy_bytes: Any = intrinsic(_copy_bytes)
clear_bytes: Any = intrinsic(_clear_bytes)


@compiled_part
def tiles_to_points(
    code: int, first: int, last: int, cut: Cut, images: int, scratch: int, target: int, to: Matrices
) -> None:
    """Transform tiles first..last into P matrices; a tile that reaches over a border is put together in `scratch`."""
    pixel = cut.channels * cut.size
    line = cut.width * pixel
    side = 4 if to.points == 16 else 6
    for tile in range(first, last):
        image, place = divmod(tile, cut.down * cut.across)
        y = place // cut.across * cut.step - cut.top
        x = place % cut.across * cut.step - cut.left
        source = images + (image * cut.height + y) * line + x * pixel
        row = target + (tile - first) * to.row
        if y >= 0 and x >= 0 and y + cut.reach <= cut.height and x + cut.reach <= cut.width:
            call_transform(code, cut.channels, source, line, pixel, row, side * to.matrix, to.matrix, 0)
            continue
        clear_bytes(scratch, cut.reach * cut.reach * pixel)
        begin, end = max(0, -x), min(cut.reach, cut.width - x)
        if begin < end:
            for i in range(max(0, -y), min(cut.reach, cut.height - y)):
                to_row = scratch + (i * cut.reach + begin) * pixel
                copy_bytes(to_row, source + i * line + begin * pixel, (end - begin) * pixel)
        call_transform(code, cut.channels, scratch, cut.reach * pixel, pixel, row, side * to.matrix, to.matrix, 0)


@compiled_part
def points_to_tiles(
    code: int,
    first: int,
    last: int,
    columns: int,
    source: int,
    at: Matrices,
    bias: int,
    cut: Cut,
    images: int,
    scratch: int,
) -> None:
    """Transform P matrices into tiles of `columns` channels, which begin at `images` in the first pixel."""
    pixel = cut.channels * cut.size
    line = cut.width * pixel
    some = columns * cut.size
    side = 4 if at.points == 16 else 6
    for tile in range(first, last):
        image, place = divmod(tile, cut.down * cut.across)
        y = place // cut.across * cut.step
        x = place % cut.across * cut.step
        target = images + (image * cut.height + y) * line + x * pixel
        row = source + (tile - first) * at.row
        height, width = min(cut.step, cut.height - y), min(cut.step, cut.width - x)
        if height == cut.step and width == cut.step:
            call_transform(code, columns, row, side * at.matrix, at.matrix, target, line, pixel, bias)
            continue
        call_transform(code, columns, row, side * at.matrix, at.matrix, scratch, cut.step * some, some, bias)
        for i in range(height):
            for j in range(width):
                copy_bytes(target + i * line + j * pixel, scratch + (i * cut.step + j) * some, some)


@compiled_part
def weights_to_points(code: int, depth: int, packed: int, row: int, target: int, to: Matrices) -> None:
    """Transform one panel of packed weights (3, 3, depth, width), whose rows are `row` bytes, into P matrices."""
    side = 4 if to.points == 16 else 6
    columns = row // 4
    for k in range(depth):
        source, place = packed + k * row, target + k * to.row
        call_transform(code, columns, source, 3 * depth * row, depth * row, place, side * to.matrix, to.matrix, 0)


@compiled
def transform_weights(
    part: int, first: int, last: int, code: int, depth: int, width: int, packed: Any, target: int, to: Matrices
) -> None:
    """Transform panels first..last of packed weights (panels, 3, 3, depth, width) into P matrices each."""
    side = 4 if to.points == 16 else 6
    panel, tap, row = packed.strides[0], packed.strides[2], packed.strides[3]
    for piece in range(first, last):
        for k in range(depth):
            source, place = packed.ctypes.data + piece * panel + k * row, target + piece * to.block + k * to.row
            call_transform(code, width, source, 3 * tap, tap, place, side * to.matrix, to.matrix, 0)


@compiled
def transform_tiles(
    part: int,
    first: int,
    last: int,
    code: int,
    tiles: int,
    block: int,
    cut: Cut,
    images: int,
    scratch: int,
    target: int,
    to: Matrices,
) -> None:
    """Transform blocks first..last of `block` tiles into P matrices each; `tiles` is the number of all."""
    own = scratch + part * cut.reach * cut.reach * cut.channels * cut.size
    for number in range(first, last):
        begin = number * block
        tiles_to_points(code, begin, min(begin + block, tiles), cut, images, own, target + number * to.block, to)


@compiled
def convolve_blocks(
    part: int,
    first: int,
    last: int,
    gemm: int,
    codes: tuple[int, int],
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
    workspace_size: int,
    points_at: Matrices,
    results_at: Matrices,
) -> None:
    """Convolve blocks first..last, panel by panel of `width` output channels."""
    to_points, to_tiles = codes
    points = workspace + part * workspace_size
    results = points + points_at.block
    scratch = results + results_at.block
    for number in range(first, last):
        begin, end = number * block, min(number * block + block, tiles)
        tiles_to_points(to_points, begin, end, cut, images, scratch, points, points_at)
        for start in range(0, out_cut.channels, width):
            columns = min(width, out_cut.channels - start)
            panel = weights + start // width * weights_at.block
            for p in range(points_at.points):
                a, b, c = points + p * points_at.matrix, panel + p * weights_at.matrix, results + p * results_at.matrix
                call_gemm(
                    gemm, end - begin, columns, cut.channels, a, points_at.row, cut.size,
                    b, weights_at.row, c, results_at.row, 0,
                )  # fmt: skip
            place = start * cut.size
            points_to_tiles(
                to_tiles, begin, end, columns, results, results_at, bias + place, out_cut, out + place, scratch
            )
