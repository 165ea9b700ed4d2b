"""Max and average pooling, both ways, on channels-last images.

Every kernel writes each of its outputs once, one vector of channels at a time, and reads the images as they are: which
elements of a window lie inside the image is worked out for each window. The ways back go over the input's pixels and
look up which windows contain them, so overlapping windows add up in a fixed order, and nothing is filled with zeros
first.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..reference import Kernels
from .compiler import compiled, compiled_part
from .launch import launch, number_of_parts
from .layout import FLOATS, images_of
from .tile import VECTOR_BYTES
from .vectors import equal, filled, first_lanes, fma, larger_or_nan, load, plus, prefetch, select, store, times

Pair = tuple[int, int]

_NANOSECONDS = 0.15  # per element of a window
_MOST_IN_A_BYTE = 256
_ROWS_AHEAD = 4  # memory is asked for so many rows of the image before it is needed


class PoolingOverrides(Kernels):
    """Pooling of images in float32 and float64. Winners are kept in a byte each where the window is small enough."""

    def max_pool2d(
        self, x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair
    ) -> tuple[Any, Any]:
        if not _covered(x):
            return super().max_pool2d(x, kernel, stride, padding, dilation, out_size)
        images = images_of(x)
        batch, height, width, channels = images.shape
        shape = (batch, *out_size, channels)
        out = self.device.memory.empty(shape, x.dtype)
        winner = self.device.memory.empty(shape, "uint8" if kernel[0] * kernel[1] <= _MOST_IN_A_BYTE else "int32")
        rows = _elements(out_size[0], height, kernel[0], stride[0], padding[0], dilation[0])
        columns = _elements(out_size[1], width, kernel[1], stride[1], padding[1], dilation[1])
        count = batch * out_size[0]
        parts = number_of_parts(count, out.size * kernel[0] * kernel[1] * _NANOSECONDS)
        launch(_find_maxima, count, parts, images, out, winner, rows, columns, kernel[1], *dilation)
        return out.transpose(0, 3, 1, 2), winner.transpose(0, 3, 1, 2)

    def max_pool2d_indices(
        self, winner: Any, width: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
    ) -> Any:
        return super().max_pool2d_indices(winner.astype("int64"), width, kernel, stride, padding, dilation)

    def max_pool2d_scatter(
        self,
        values: Any,
        winner: Any,
        input_size: Pair,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
    ) -> Any:
        if not _covered(values):
            return super().max_pool2d_scatter(values, winner, input_size, kernel, stride, padding, dilation)
        values, winner = images_of(values), images_of(winner)
        batch, out_height, out_width, channels = values.shape
        out = self.device.memory.empty((batch, *input_size, channels), values.dtype)
        if stride == kernel and dilation == (1, 1):
            count = batch * (out_height + 1)
            parts = number_of_parts(count, out.size * _NANOSECONDS)
            launch(_give_apart, count, parts, values, winner, out, *kernel, *padding)
            return out.transpose(0, 3, 1, 2)
        rows = _windows(input_size[0], out_height, kernel[0], stride[0], padding[0], dilation[0])
        columns = _windows(input_size[1], out_width, kernel[1], stride[1], padding[1], dilation[1])
        count = batch * input_size[0]
        parts = number_of_parts(count, out.size * _NANOSECONDS)
        launch(_give_to_winners, count, parts, values, winner, out, rows, columns, kernel[1])
        return out.transpose(0, 3, 1, 2)

    def avg_pool2d(self, x: Any, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, divisor: Any) -> Any:
        if not _covered(x):
            return super().avg_pool2d(x, kernel, stride, padding, out_size, divisor)
        images = images_of(x)
        batch, height, width, channels = images.shape
        out = self.device.memory.empty((batch, *out_size, channels), x.dtype)
        rows = _elements(out_size[0], height, kernel[0], stride[0], padding[0], 1)
        columns = _elements(out_size[1], width, kernel[1], stride[1], padding[1], 1)
        count = batch * out_size[0]
        parts = number_of_parts(count, out.size * kernel[0] * kernel[1] * _NANOSECONDS)
        launch(_average, count, parts, images, out, rows, columns, _shares(divisor, out_size))
        return out.transpose(0, 3, 1, 2)

    def avg_pool2d_grad(
        self, grad: Any, input_size: Pair, kernel: Pair, stride: Pair, padding: Pair, divisor: Any
    ) -> Any:
        if not _covered(grad):
            return super().avg_pool2d_grad(grad, input_size, kernel, stride, padding, divisor)
        images = images_of(grad)
        batch, out_height, out_width, channels = images.shape
        out = self.device.memory.empty((batch, *input_size, channels), grad.dtype)
        rows = _windows(input_size[0], out_height, kernel[0], stride[0], padding[0], 1)
        columns = _windows(input_size[1], out_width, kernel[1], stride[1], padding[1], 1)
        count = batch * input_size[0]
        parts = number_of_parts(count, out.size * _NANOSECONDS)
        launch(_share_out, count, parts, images, out, rows, columns, _shares(divisor, (out_height, out_width)))
        return out.transpose(0, 3, 1, 2)


def _covered(x: Any) -> bool:
    return x.dtype in FLOATS and x.size > 0


def _shares(divisor: Any, out_size: Pair) -> Any:
    """Return for each window, (OH, OW), how much each of its elements counts."""
    return 1.0 / divisor if isinstance(divisor, np.ndarray) else np.full(out_size, 1.0 / divisor)


@cache
def _elements(windows: int, length: int, kernel: int, stride: int, padding: int, dilation: int) -> Any:
    """Return for each window along an axis where it begins, and its first element inside the image and that behind it.

    In a window with none inside, the first is the one that the reference takes for it.
    """
    start = np.arange(windows) * stride - padding
    first = np.clip(-(start // dilation), 0, kernel - 1)
    end = np.clip((length - 1 - start) // dilation + 1, 0, kernel)
    return np.stack([start, first, end], axis=1)


@cache
def _windows(length: int, windows: int, kernel: int, stride: int, padding: int, dilation: int) -> Any:
    """Return for each pixel along an axis how many windows contain it, and then which, and as which element of them."""
    table = np.zeros((length, 1 + 2 * kernel), np.int64)
    for pixel in range(length):
        for element in range(kernel):
            window, rest = divmod(pixel + padding - element * dilation, stride)
            if rest == 0 and 0 <= window < windows:
                count = table[pixel, 0]
                table[pixel, 1 + 2 * count : 3 + 2 * count] = window, element
                table[pixel, 0] += 1
    return table


@compiled_part
def _compare(x: Any, winner: Any, position: int, number: int, mask: Any, best: Any, which: Any) -> Any:
    """Return the larger of the best so far and what is at the position, and which of them it is."""
    value = load(x, position, mask)
    better = larger_or_nan(value, best)
    return select(better, value, best), select(better, filled(winner, mask, number), which)


@compiled
def _find_maxima(
    part: int,
    first: int,
    last: int,
    x: Any,
    out: Any,
    winner: Any,
    rows: Any,
    columns: Any,
    kernel_width: int,
    row_step: int,
    column_step: int,
) -> None:
    """Find the maximum of each window and which element it was; a piece of work is a row of windows."""
    _, H, W, C = x.shape
    _, OH, OW, _ = out.shape
    for piece in range(first, last):
        image = piece // OH
        r = piece - image * OH
        for q in range(OW):
            start = ((image * H + rows[r, 0]) * W + columns[q, 0]) * C
            top, bottom, left, right = rows[r, 1], rows[r, 2], columns[q, 1], columns[q, 2]
            number = top * kernel_width + left
            two_by_two = kernel_width == 2 and top == 0 and bottom == 2 and left == 0 and right == 2
            for c in range(0, C, VECTOR_BYTES // x.itemsize):
                mask = first_lanes(x, C - c)
                best, which = filled(x, mask, -np.inf), filled(winner, mask, number)
                if two_by_two:
                    at = start + c
                    below = at + row_step * W * C
                    for row in (_ROWS_AHEAD, _ROWS_AHEAD + 1):
                        prefetch(x, at + row * W * C)
                        prefetch(x, at + (row * W + 1) * C)
                    best, which = _compare(x, winner, at, 0, mask, best, which)
                    best, which = _compare(x, winner, at + column_step * C, 1, mask, best, which)
                    best, which = _compare(x, winner, below, 2, mask, best, which)
                    best, which = _compare(x, winner, below + column_step * C, 3, mask, best, which)
                else:
                    for i in range(top, bottom):
                        at = start + (i * row_step * W + left * column_step) * C + c
                        for j in range(left, right):
                            prefetch(x, at + _ROWS_AHEAD * W * C)
                            best, which = _compare(x, winner, at, i * kernel_width + j, mask, best, which)
                            at += column_step * C
                to = (piece * OW + q) * C + c
                store(out, to, mask, best)
                store(winner, to, mask, which)


@compiled
def _give_to_winners(
    part: int,
    first: int,
    last: int,
    values: Any,
    winner: Any,
    out: Any,
    rows: Any,
    columns: Any,
    kernel_width: int,
) -> None:
    """Add up, for each pixel, the values of the windows that it won; a piece of work is a row of pixels."""
    _, OH, OW, C = values.shape
    _, H, W, _ = out.shape
    for piece in range(first, last):
        image = piece // H
        h = piece - image * H
        for w in range(W):
            for c in range(0, C, VECTOR_BYTES // values.itemsize):
                mask = first_lanes(values, C - c)
                zero = filled(values, mask, 0.0)
                total = zero
                for a in range(rows[h, 0]):
                    for b in range(columns[w, 0]):
                        at = ((image * OH + rows[h, 1 + 2 * a]) * OW + columns[w, 1 + 2 * b]) * C + c
                        number = rows[h, 2 + 2 * a] * kernel_width + columns[w, 2 + 2 * b]
                        won = equal(load(winner, at, mask), filled(winner, mask, number))
                        total = plus(total, select(won, load(values, at, mask), zero))
                store(out, (piece * W + w) * C + c, mask, total)


@compiled
def _give_apart(
    part: int,
    first: int,
    last: int,
    values: Any,
    winner: Any,
    out: Any,
    kernel_height: int,
    kernel_width: int,
    top: int,
    left: int,
) -> None:
    """Give values to winners where windows neither overlap nor leave gaps; a piece of work is a row of windows.

    Behind the last windows of rows and columns there is one more, without a value, for the pixels that are left over.
    """
    _, OH, OW, C = values.shape
    _, H, W, _ = out.shape
    for piece in range(first, last):
        image = piece // (OH + 1)
        r = piece - image * (OH + 1)
        row = r * kernel_height - top
        for q in range(OW + 1):
            column = q * kernel_width - left
            at = ((image * OH + r) * OW + q) * C
            begin, end = max(0, -column), min(kernel_width, W - column)
            for c in range(0, C, VECTOR_BYTES // values.itemsize):
                mask, none = first_lanes(values, C - c), first_lanes(values, 0)
                there = mask if r < OH and q < OW else none
                value, which, zero = load(values, at + c, there), load(winner, at + c, there), filled(values, mask, 0.0)
                for i in range(max(0, -row), min(kernel_height, H - row)):
                    to = ((image * H + row + i) * W + column) * C + c
                    for j in range(begin, end):
                        won = equal(which, filled(winner, mask, i * kernel_width + j))
                        prefetch(out, to + (j + _ROWS_AHEAD * W) * C)
                        store(out, to + j * C, mask, select(won, value, zero))


@compiled
def _average(part: int, first: int, last: int, x: Any, out: Any, rows: Any, columns: Any, shares: Any) -> None:
    """Average each window, row by row, so that rounding errors stay small; a piece of work is a row of windows."""
    _, H, W, C = x.shape
    _, OH, OW, _ = out.shape
    for piece in range(first, last):
        image = piece // OH
        r = piece - image * OH
        for q in range(OW):
            start = ((image * H + rows[r, 0]) * W + columns[q, 0]) * C
            for c in range(0, C, VECTOR_BYTES // x.itemsize):
                mask = first_lanes(x, C - c)
                total = filled(x, mask, 0.0)
                for i in range(rows[r, 1], rows[r, 2]):
                    row_total = filled(x, mask, 0.0)
                    for j in range(columns[q, 1], columns[q, 2]):
                        row_total = plus(row_total, load(x, start + (i * W + j) * C + c, mask))
                    total = plus(total, row_total)
                store(out, (piece * OW + q) * C + c, mask, times(total, filled(x, mask, shares[r, q])))


@compiled
def _share_out(part: int, first: int, last: int, grad: Any, out: Any, rows: Any, columns: Any, shares: Any) -> None:
    """Add up, for each pixel, its shares of the windows that contain it; a piece of work is a row of pixels."""
    _, OH, OW, C = grad.shape
    _, H, W, _ = out.shape
    for piece in range(first, last):
        image = piece // H
        h = piece - image * H
        for w in range(W):
            for c in range(0, C, VECTOR_BYTES // grad.itemsize):
                mask = first_lanes(grad, C - c)
                total = filled(grad, mask, 0.0)
                for a in range(rows[h, 0]):
                    r = rows[h, 1 + 2 * a]
                    for b in range(columns[w, 0]):
                        q = columns[w, 1 + 2 * b]
                        share = filled(grad, mask, shares[r, q])
                        total = fma(load(grad, ((image * OH + r) * OW + q) * C + c, mask), share, total)
                store(out, (piece * W + w) * C + c, mask, total)
