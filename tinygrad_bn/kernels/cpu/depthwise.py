"""Depthwise convolution, in which every channel is an image of its own.

There is little to compute for each value that is read, so everything is done in one pass over the images as they are:
nothing is padded or copied, and every output is written once. The 3x3 kernels walk along a row of outputs, one vector
of channels at a time. They keep the nine weights (or the nine sums of the weight's gradient) and three columns of the
input in registers, so that each step reads one new column, or two with stride 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import Kernels
from ..shapes import output_length
from .compiler import compiled, compiled_part
from .launch import launch, number_of_parts
from .layout import images_of
from .tile import VECTOR_BYTES
from .vectors import add_into, filled, first_lanes, fma, load, prefetch, store

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

_NANOSECONDS = 0.3  # per output
_SUMMANDS = 32  # products that are added up in the dtype of the images; longer sums go on in float64


class DepthwiseOverrides(Kernels):
    """Depthwise convolutions with kernels of 3x3 and stride 1 or 2; others go to the reference.

    With several outputs per channel (a weight of more outputs than the input has channels) the channels are repeated.
    """

    def depthwise_conv2d(self, x: Any, weight: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair) -> Any:
        """As `conv2d` with as many groups as channels."""
        channels = x.shape[1]
        if not _covers(weight.shape[2:], stride, padding, dilation):
            return super().conv2d(x, weight, bias, stride, padding, dilation, channels)
        height, width = (output_length(x.shape[2 + d], 3, stride[d], padding[d], 1) for d in (0, 1))
        images = _repeated(images_of(x), weight.shape[0] // channels)
        bias = np.zeros(weight.shape[0], x.dtype) if bias is None else np.ascontiguousarray(bias)
        return self._depthwise_rows(images, _taps(weight), bias, (height, width), stride, padding[0][0], padding[1][0])

    def depthwise_input_grad(
        self, grad: Any, weight: Any, input_size: Pair, stride: Pair, padding: Padding, dilation: Pair, channels: int
    ) -> Any:
        """As `conv2d_input_grad` with as many groups as channels."""
        if not _covers(weight.shape[2:], stride, padding, dilation):
            return super().conv2d_input_grad(grad, weight, input_size, stride, padding, dilation, channels)
        images = images_of(grad)
        top, left = padding[0][0], padding[1][0]
        if stride == (1, 1):
            taps, bias = _taps(weight[:, :, ::-1, ::-1]), np.zeros(weight.shape[0], grad.dtype)
            result = self._depthwise_rows(images, taps, bias, input_size, stride, 2 - top, 2 - left)
        else:
            batch, _, _, outputs = images.shape
            out = self.device.memory.empty((batch, *input_size, outputs), grad.dtype)
            count = batch * input_size[0]
            parts = number_of_parts(count, out.size * _NANOSECONDS)
            launch(_spread_by_two, count, parts, images, _taps(weight), out, top, left)
            result = out.transpose(0, 3, 1, 2)
        repeats = weight.shape[0] // channels
        if repeats == 1:
            return result
        return result.reshape(result.shape[0], channels, repeats, *input_size).sum(axis=2)

    def depthwise_weight_grad(
        self, x: Any, grad: Any, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
    ) -> Any:
        """As `conv2d_weight_grad` with as many groups as channels."""
        if not _covers(kernel, stride, padding, dilation):
            return super().conv2d_weight_grad(x, grad, kernel, stride, padding, dilation, x.shape[1])
        grads = images_of(grad)
        batch, out_height, out_width, outputs = grads.shape
        images = _repeated(images_of(x), outputs // x.shape[1])
        rows = max(1, min(out_height, _SUMMANDS // out_width))
        count = batch * -(-out_height // rows)
        parts = number_of_parts(count, grad.size * _NANOSECONDS)
        sums = np.zeros((parts, 3, 3, outputs))
        launch(_sum_products, count, parts, images, grads, sums, rows, *stride, padding[0][0], padding[1][0])
        total = sums[0] if parts == 1 else sums.sum(axis=0)
        return np.ascontiguousarray(total.transpose(2, 0, 1), dtype=x.dtype).reshape(outputs, 1, 3, 3)

    def _depthwise_rows(self, x: Any, taps: Any, bias: Any, out_size: Pair, stride: Pair, top: int, left: int) -> Any:
        batch, _, _, channels = x.shape
        out = self.device.memory.empty((batch, *out_size, channels), x.dtype)
        count = batch * out_size[0]
        launch(
            _correlate_rows,
            count,
            number_of_parts(count, out.size * _NANOSECONDS),
            x,
            taps,
            bias,
            out,
            *stride,
            top,
            left,
        )
        return out.transpose(0, 3, 1, 2)


def _covers(kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> bool:
    return (
        kernel == (3, 3)
        and stride in ((1, 1), (2, 2))
        and dilation == (1, 1)
        and min(padding[0][0], padding[1][0]) >= 0
    )


def _taps(weight: Any) -> Any:
    """Return a weight (C, 1, 3, 3) as (3, 3, C) without gaps."""
    return np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0))


def _repeated(images: Any, times: int) -> Any:
    return images if times == 1 else np.repeat(images, times, axis=3)


@compiled_part
def _column(array: Any, position: int, row: int, masks: Any, inside: bool) -> Any:
    """Read three vectors that lie `row` elements apart; 0 outside the image."""
    if inside:
        return (
            load(array, position, masks[0]),
            load(array, position + row, masks[1]),
            load(array, position + 2 * row, masks[2]),
        )
    nothing = filled(array, masks[0], 0.0)
    return nothing, nothing, nothing


@compiled_part
def _ask_ahead(x: Any, position: int, row: int, column: int, stride: int) -> None:
    """Ask for what the output below this one, two rows further down, will be the first to read."""
    prefetch(x, position)
    if stride == 2:
        prefetch(x, position + column)
        prefetch(x, position - row)
        prefetch(x, position - row + column)


@compiled_part
def _row_masks(row: int, height: int, mask: Any, none: Any) -> Any:
    """Return the masks of three rows of an image from `row` on; rows outside are not read."""
    return (
        mask if 0 <= row < height else none,
        mask if 0 <= row + 1 < height else none,
        mask if 0 <= row + 2 < height else none,
    )


@compiled_part
def _dot(a: Any, b: Any, total: Any) -> Any:
    return fma(a[0], b[0], fma(a[1], b[1], fma(a[2], b[2], total)))


@compiled_part
def _scaled_onto(factor: Any, a: Any, totals: Any) -> Any:
    return fma(factor, a[0], totals[0]), fma(factor, a[1], totals[1]), fma(factor, a[2], totals[2])


@compiled_part
def _add_column(sums: Any, position: int, row: int, mask: Any, column: Any) -> None:
    add_into(sums, position, mask, column[0])
    add_into(sums, position + row, mask, column[1])
    add_into(sums, position + 2 * row, mask, column[2])


@compiled
def _correlate_rows(
    part: int,
    first: int,
    last: int,
    x: Any,
    taps: Any,
    bias: Any,
    out: Any,
    row_stride: int,
    column_stride: int,
    top: int,
    left: int,
) -> None:
    """Correlate with a 3x3 kernel; a piece of work is one row of outputs."""
    _, H, W, C = x.shape
    _, OH, OW, _ = out.shape
    row = W * C
    ahead = (2 + 2 * row_stride) * row
    for piece in range(first, last):
        image = piece // OH
        i = (piece - image * OH) * row_stride - top
        for c in range(0, C, VECTOR_BYTES // x.itemsize):
            mask, none = first_lanes(x, C - c), first_lanes(x, 0)
            all_rows = (mask, mask, mask)
            taps0 = _column(taps, c, 3 * C, all_rows, True)
            taps1 = _column(taps, c + C, 3 * C, all_rows, True)
            taps2 = _column(taps, c + 2 * C, 3 * C, all_rows, True)
            start = load(bias, c, mask)
            masks = _row_masks(i, H, mask, none)
            j = -left
            at = (image * H + i) * row + j * C + c
            to = piece * OW * C + c
            before = _column(x, at, row, masks, 0 <= j < W)
            centre = before
            after = before
            if column_stride == 1:
                after = _column(x, at + C, row, masks, 0 <= j + 1 < W)
            for _ in range(OW):
                if column_stride == 1:
                    before, centre = centre, after
                else:
                    before = after
                    centre = _column(x, at + C, row, masks, 0 <= j + 1 < W)
                after = _column(x, at + 2 * C, row, masks, 0 <= j + 2 < W)
                _ask_ahead(x, at + ahead, row, C, column_stride)
                prefetch(out, to + 2 * OW * C)
                store(out, to, mask, _dot(after, taps2, _dot(centre, taps1, _dot(before, taps0, start))))
                to += C
                at += column_stride * C
                j += column_stride


@compiled
def _spread_by_two(part: int, first: int, last: int, grad: Any, taps: Any, out: Any, top: int, left: int) -> None:
    """Compute the gradient of the input of a 3x3 convolution with stride 2; a piece of work is one row of it.

    Even rows (counted with the padding) lie below the first and the last row of the kernel, odd ones below the middle.
    Along a row each output has one column to itself and shares two with its neighbours.
    """
    _, OH, OW, C = grad.shape
    _, H, W, _ = out.shape
    for piece in range(first, last):
        image = piece // H
        i = piece - image * H + top
        odd = i % 2
        lower = i // 2
        for c in range(0, C, VECTOR_BYTES // grad.itemsize):
            mask, none = first_lanes(grad, C - c), first_lanes(grad, 0)
            lower_mask = mask if lower < OH else none
            upper_mask = mask if 1 <= lower <= OH and odd == 0 else none
            w = odd * 3 * C + c
            lower0, lower1, lower2 = load(taps, w, mask), load(taps, w + C, mask), load(taps, w + 2 * C, mask)
            w = 6 * C + c
            upper0, upper1, upper2 = load(taps, w, mask), load(taps, w + C, mask), load(taps, w + 2 * C, mask)
            at = (image * OH + lower) * OW * C + c
            to = piece * W * C + c
            zero = filled(grad, mask, 0.0)
            shared = zero
            j = -left
            for _ in range(OW):
                prefetch(grad, at + 2 * OW * C)
                prefetch(out, to + (j + 3 * W) * C)
                prefetch(out, to + (j + 3 * W + 1) * C)
                lower_grad, upper_grad = load(grad, at, lower_mask), load(grad, at - OW * C, upper_mask)
                if 0 <= j < W:
                    store(out, to + j * C, mask, fma(lower_grad, lower0, fma(upper_grad, upper0, shared)))
                if 0 <= j + 1 < W:
                    store(out, to + (j + 1) * C, mask, fma(lower_grad, lower1, fma(upper_grad, upper1, zero)))
                shared = fma(lower_grad, lower2, fma(upper_grad, upper2, zero))
                at += C
                j += 2
            while j < W:
                if j >= 0:
                    store(out, to + j * C, mask, shared)
                shared = zero
                j += 1


@compiled
def _sum_products(
    part: int,
    first: int,
    last: int,
    x: Any,
    grad: Any,
    sums: Any,
    rows: int,
    row_stride: int,
    column_stride: int,
    top: int,
    left: int,
) -> None:
    """Add the gradient of a 3x3 weight to sums[part] (3, 3, C); a piece of work is a few rows of one image."""
    _, H, W, C = x.shape
    _, OH, OW, _ = grad.shape
    row = W * C
    ahead = (2 + 2 * row_stride) * row
    blocks = (OH + rows - 1) // rows
    for piece in range(first, last):
        image = piece // blocks
        begin = (piece - image * blocks) * rows
        for c in range(0, C, VECTOR_BYTES // x.itemsize):
            mask, none = first_lanes(x, C - c), first_lanes(x, 0)
            zero = filled(x, mask, 0.0)
            sums0 = (zero, zero, zero)
            sums1, sums2 = sums0, sums0
            for r in range(begin, min(begin + rows, OH)):
                i = r * row_stride - top
                masks = _row_masks(i, H, mask, none)
                j = -left
                at = (image * H + i) * row + j * C + c
                of = (image * OH + r) * OW * C + c
                before = _column(x, at, row, masks, 0 <= j < W)
                centre = before
                after = before
                if column_stride == 1:
                    after = _column(x, at + C, row, masks, 0 <= j + 1 < W)
                for _ in range(OW):
                    if column_stride == 1:
                        before, centre = centre, after
                    else:
                        before = after
                        centre = _column(x, at + C, row, masks, 0 <= j + 1 < W)
                    after = _column(x, at + 2 * C, row, masks, 0 <= j + 2 < W)
                    factor = load(grad, of, mask)
                    _ask_ahead(x, at + ahead, row, C, column_stride)
                    prefetch(grad, of + 2 * OW * C)
                    sums0 = _scaled_onto(factor, before, sums0)
                    sums1 = _scaled_onto(factor, centre, sums1)
                    sums2 = _scaled_onto(factor, after, sums2)
                    of += C
                    at += column_stride * C
                    j += column_stride
            to = part * 9 * C + c
            _add_column(sums, to, 3 * C, mask, sums0)
            _add_column(sums, to + C, 3 * C, mask, sums1)
            _add_column(sums, to + 2 * C, 3 * C, mask, sums2)
