"""Two-dimensional convolution and its two derivatives, as matrix products.

All arrays are logically (N, C, H, W); inside, memory is channels-last, because then the values under one row of the
kernel lie side by side. A convolution is computed as

    output = sum over taps of  patches(tap) @ weights(tap)

where a tap is either the whole kernel (the classical im2col: one large product, every input value copied KH*KW
times) or one row of it (KH products, every value copied only KW times; better for images with many pixels). In the
second case the pixels are sorted by image row first, so that what lies under each row of the kernel is one piece of
memory and each product one large one.

The derivative with respect to the input is again a convolution, of the output's gradient spread out by the stride,
with the kernel turned by 180 degrees and its input and output channels exchanged (Dumoulin & Visin 2016,
"A guide to convolution arithmetic for deep learning").
"""

from __future__ import annotations

from typing import Any

from ..shapes import output_length
from .precision import in_float32
from .windows import Pair, channels_first, channels_last, windows

Padding = tuple[Pair, Pair]

# Below this many output pixels, or this many values in one kernel row, one large product is faster than KH small ones.
_FEW_PIXELS = 100
_SHORT_ROW = 24


class ConvolutionKernels:
    """conv2d, conv2d_input_grad and conv2d_weight_grad are each other's derivatives."""

    xp: Any
    matmul: Any  # the provider's: what it does not compute itself may still be captured

    @in_float32
    def conv2d(
        self, x: Any, weight: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int
    ) -> Any:
        """Correlate x (N, C, H, W) with weight (O, C/groups, KH, KW), and add bias (O,) or None; (N, O, OH, OW)."""
        (top, bottom), (left, right) = padding
        height, width = x.shape[2] + top + bottom, x.shape[3] + left + right
        spread = self._spread(x, (height, width), (top, left), (1, 1))
        result = self._correlate(spread, weight, stride, dilation, groups)
        if bias is not None:
            result += bias.reshape(1, -1, 1, 1)
        return result

    @in_float32
    def conv2d_input_grad(
        self,
        grad: Any,
        weight: Any,
        input_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
    ) -> Any:
        """Return the gradient (N, C, *input_size) from the output's gradient (N, O, OH, OW)."""
        out_channels, in_per_group, *kernel = weight.shape
        reach = (dilation[0] * (kernel[0] - 1), dilation[1] * (kernel[1] - 1))
        size = (input_size[0] + reach[0], input_size[1] + reach[1])
        offset = (reach[0] - padding[0][0], reach[1] - padding[1][0])
        spread = self._spread(grad, size, offset, stride)
        turned = weight.reshape(groups, out_channels // groups, in_per_group, *kernel)[..., ::-1, ::-1]
        turned = turned.swapaxes(1, 2).reshape(groups * in_per_group, out_channels // groups, *kernel)
        return self._correlate(spread, turned, (1, 1), dilation, groups)

    @in_float32
    def conv2d_weight_grad(
        self,
        x: Any,
        grad: Any,
        kernel: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
    ) -> Any:
        """Return the gradient (O, C/groups, KH, KW) from the input and the output's gradient."""
        xp = self.xp
        (top, bottom), (left, right) = padding
        size = (x.shape[2] + top + bottom, x.shape[3] + left + right)
        spread = self._spread(x, size, (top, left), (1, 1))
        batch, out_channels, *out_size = grad.shape
        in_per_group, out_per_group = x.shape[1] // groups, out_channels // groups
        last = xp.ascontiguousarray(channels_last(grad))
        if in_per_group == 1 and groups > 1:
            result = xp.empty((*kernel, groups, out_per_group), dtype=x.dtype)
            per_group = last.reshape(batch, *out_size, groups, out_per_group)
            for i, j, window in windows(spread, kernel, stride, dilation, (out_size[0], out_size[1])):
                result[i, j] = (window[..., None] * per_group).sum(axis=(0, 1, 2))
            return xp.ascontiguousarray(result.transpose(2, 3, 0, 1)).reshape(out_channels, 1, *kernel)
        by_rows = _takes_rows(kernel, stride, (out_size[0], out_size[1]), in_per_group)
        taps = self._taps(spread, kernel, stride, dilation, groups, (out_size[0], out_size[1]), by_rows)
        last = last.transpose(1, 0, 2, 3) if by_rows else last
        pixels = last.reshape(-1, groups, out_per_group).swapaxes(0, 1)
        products = [self.matmul(tap.swapaxes(-1, -2), pixels) for tap in taps]
        result = xp.stack(products, axis=1).reshape(groups, *kernel, in_per_group, out_per_group)
        return xp.ascontiguousarray(result.transpose(0, 4, 3, 1, 2)).reshape(out_channels, in_per_group, *kernel)

    def _spread(self, x: Any, size: Pair, offset: Pair, step: Pair) -> Any:
        """Return zeros (N, *size, C) with pixel (i, j) of x at `offset + step * (i, j)`, where that lies inside."""
        batch, channels, *length = x.shape
        if size == (length[0], length[1]) and offset == (0, 0) and step == (1, 1):
            return self.xp.ascontiguousarray(channels_last(x))
        result = self.xp.zeros((batch, *size, channels), dtype=x.dtype)
        (to_rows, from_rows), (to_columns, from_columns) = (
            _overlap(length[d], size[d], offset[d], step[d]) for d in (0, 1)
        )
        result[:, to_rows, to_columns] = channels_last(x)[:, from_rows, from_columns]
        return result

    def _correlate(self, x: Any, weight: Any, stride: Pair, dilation: Pair, groups: int) -> Any:
        """Correlate padded channels-last x (N, H, W, C) with the weight; returns (N, O, OH, OW), channels-last."""
        xp = self.xp
        out_channels, in_per_group, *lengths = weight.shape
        kernel = (lengths[0], lengths[1])
        out_per_group = out_channels // groups
        out_size = (
            output_length(x.shape[1], kernel[0], stride[0], (0, 0), dilation[0]),
            output_length(x.shape[2], kernel[1], stride[1], (0, 0), dilation[1]),
        )
        batch = x.shape[0]
        if in_per_group == 1 and groups > 1:
            per_group = weight.reshape(groups, out_per_group, *kernel)
            result = xp.zeros((batch, *out_size, groups, out_per_group), dtype=x.dtype)
            for i, j, window in windows(x, kernel, stride, dilation, out_size):
                result += window[..., None] * per_group[:, :, i, j]
            return channels_first(result.reshape(batch, *out_size, out_channels))
        by_rows = _takes_rows(kernel, stride, out_size, in_per_group)
        taps = self._taps(x, kernel, stride, dilation, groups, out_size, by_rows)
        matrices = weight.reshape(groups, out_per_group, in_per_group, *kernel).transpose(0, 3, 4, 2, 1)
        matrices = matrices.reshape(groups, len(taps), -1, out_per_group)
        result = self.matmul(taps[0], matrices[:, 0])
        for tap, matrix in zip(taps[1:], matrices.swapaxes(0, 1)[1:], strict=True):
            result += self.matmul(tap, matrix)
        result = result.swapaxes(0, 1)
        if by_rows:
            result = result.reshape(out_size[0], batch, out_size[1], out_channels).swapaxes(0, 1)
        return channels_first(xp.ascontiguousarray(result).reshape(batch, *out_size, out_channels))

    def _taps(
        self, x: Any, kernel: Pair, stride: Pair, dilation: Pair, groups: int, out_size: Pair, by_rows: bool
    ) -> list[Any]:
        """Return the patches (groups, pixels, values) under the whole kernel, or under each of its rows."""
        batch, height, _width, channels = x.shape
        in_per_group = channels // groups
        s_batch, s_row, s_column, s_channel = x.strides
        as_strided = self.xp.lib.stride_tricks.as_strided
        s_group = s_channel * in_per_group
        if by_rows:
            shape: tuple[int, ...] = (groups, height, batch, out_size[1], kernel[1], in_per_group)
            strides: tuple[int, ...] = (s_group, s_row, s_batch, s_column, s_column * dilation[1], s_channel)
            rows = self.xp.ascontiguousarray(as_strided(x, shape, strides))
            starts = [i * dilation[0] for i in range(kernel[0])]
            size = (groups, out_size[0] * batch * out_size[1], kernel[1] * in_per_group)
            return [rows[:, start : start + out_size[0]].reshape(size) for start in starts]
        shape = (groups, batch, *out_size, *kernel, in_per_group)
        steps = (s_row * stride[0], s_column * stride[1], s_row * dilation[0], s_column * dilation[1])
        view = as_strided(x, shape, (s_group, s_batch, *steps, s_channel))
        return [view.reshape(groups, batch * out_size[0] * out_size[1], kernel[0] * kernel[1] * in_per_group)]


def _takes_rows(kernel: Pair, stride: Pair, out_size: Pair, in_per_group: int) -> bool:
    """Return whether one product per kernel row is faster than one for the whole kernel."""
    return (
        stride == (1, 1)
        and kernel[0] > 1
        and out_size[0] * out_size[1] >= _FEW_PIXELS
        and kernel[1] * in_per_group >= _SHORT_ROW
    )


def _overlap(length: int, size: int, offset: int, step: int) -> tuple[slice, slice]:
    """Return where positions `offset + step * i` fall inside 0 .. size-1, and which i those are."""
    first = max(0, -(offset // step))
    count = max(0, min(length, (size - 1 - offset) // step + 1) - first)
    start = offset + step * first
    return slice(start, start + step * (count - 1) + 1 if count else start, step), slice(first, first + count)
