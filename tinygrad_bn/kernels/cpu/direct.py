"""Direct convolution: how the work is cut up, and which of the kernels suits the shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import get_num_threads
from ..reference import Kernels
from ..shapes import output_length
from .direct_kernels import (
    AS_IT_IS,
    EXCHANGED,
    TURNED,
    correlate_few_channels,
    correlate_rows,
    correlate_slabs,
    pack_weight,
    spread_rows,
    unpack_weight_grad,
    weight_grad_few_channels,
    weight_grad_rows,
    weight_grad_slabs,
)
from .gemm import gemm_address
from .launch import launch, launch_seated, number_of_parts, number_of_seats
from .layout import SCALARS, images_of
from .panels import packed
from .tile import VECTOR_BYTES

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

_FLOPS_PER_NANOSECOND = 200.0
_FEW_CHANNELS = 8
_SHORT_ROW = 8
_SHORT_ROW_TO_SUM = 12
_SLAB_PIXELS = 256
_SLAB_VALUES = 512
_PARTIAL_BYTES = 1 << 20
_PIECE_COLUMNS = 32


class DirectConvolution(Kernels):
    """Convolutions without groups; arrays are logically (N, C, H, W), as in the reference."""

    def direct_conv2d(self, x: Any, weight: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair) -> Any:
        """As `conv2d`."""
        height, width = (
            output_length(x.shape[2 + d], weight.shape[2 + d], stride[d], padding[d], dilation[d]) for d in (0, 1)
        )
        return self._direct(images_of(x), weight, AS_IT_IS, bias, (height, width), stride, padding, dilation)

    def direct_input_grad(
        self, grad: Any, weight: Any, input_size: Pair, stride: Pair, padding: Padding, dilation: Pair
    ) -> Any:
        """As `conv2d_input_grad`."""
        if stride != (1, 1):
            return self._spread_strided(images_of(grad), weight, input_size, stride, padding, dilation)
        top, left = (dilation[d] * (weight.shape[2 + d] - 1) - padding[d][0] for d in (0, 1))
        behind = 0  # the input's size says how much there is
        around = ((top, behind), (left, behind))
        return self._direct(images_of(grad), weight, TURNED, None, input_size, stride, around, dilation)

    def direct_weight_grad(
        self, x: Any, grad: Any, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
    ) -> Any:
        """As `conv2d_weight_grad`."""
        x, grad = images_of(x), images_of(grad)
        pointwise = kernel == (1, 1) and stride == (1, 1) and padding == ((0, 0), (0, 0))
        if pointwise:
            # Pixels are all alike then: images become single rows of at least a certain length. And the two may change
            # places, so that the result (C, O) comes out as (O, C).
            together = _images_together(x.shape[0], x.shape[1] * x.shape[2])
            grad, x = (a.reshape(together, 1, -1, a.shape[3]) for a in (x, grad))
        memory = self.device.memory
        batch, out_height, out_width, out_channels = grad.shape
        channels = x.shape[3]
        shape = (*kernel, channels, out_channels)
        size = math.prod(shape)
        nanoseconds = 2.0 * size * batch * out_height * out_width / _FLOPS_PER_NANOSECOND
        gemm = gemm_address(SCALARS[x.dtype])
        steps = (*stride, *dilation)
        if channels < _FEW_CHANNELS:
            parts = number_of_parts(batch, nanoseconds)
            partial = (memory.empty if parts == 1 else memory.workspace)((parts, *shape), x.dtype)
            slabs = self._slabs_by_value(parts, kernel, channels, out_height, out_width, x.dtype)
            places = (*kernel, padding[0][0], padding[1][0], *steps)
            launch(weight_grad_few_channels, batch, parts, gemm, x, grad, partial, slabs, places)
        elif out_width >= _SHORT_ROW_TO_SUM and size * x.itemsize <= _PARTIAL_BYTES:
            parts = number_of_parts(batch, nanoseconds, most=get_num_threads())
            partial = (memory.empty if parts == 1 else memory.workspace)((parts, *shape), x.dtype)
            canvases = self._canvases(parts, x, (out_height, out_width), kernel, stride, padding, dilation)
            top, left = padding[0][0], padding[1][0]
            launch(weight_grad_rows, batch, parts, gemm, x, grad, partial, canvases, top, left, steps)
        else:
            partial = memory.empty((1, *shape), x.dtype)
            # Patches are copied anew for every range of columns: few ranges, but enough pieces to share evenly.
            columns = max(_PIECE_COLUMNS, -(-out_channels // (2 * _PIECE_COLUMNS)) * _PIECE_COLUMNS)
            pieces = kernel[0] * kernel[1] * -(-out_channels // columns)
            parts = number_of_parts(pieces, nanoseconds)
            seats = number_of_seats(parts)
            pixels = min(_SLAB_PIXELS, batch * out_height * out_width)
            slabs = memory.workspace((seats, pixels, channels), x.dtype)
            top, left = padding[0][0], padding[1][0]
            launch_seated(
                weight_grad_slabs, pieces, parts, seats, gemm, x, grad, partial[0], slabs, top, left, steps, columns
            )
        if pointwise:
            total = (
                partial[0] if len(partial) == 1 else np.add.reduce(partial, axis=0, out=memory.empty(shape, x.dtype))
            )
            return total.reshape(channels, out_channels, 1, 1)
        result = memory.empty((out_channels, channels, *kernel), x.dtype)
        launch(unpack_weight_grad, out_channels, number_of_parts(out_channels, partial.size), partial, result)
        return result

    def _direct(
        self,
        x: Any,
        weight: Any,
        how: int,
        bias: Any,
        out_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
    ) -> Any:
        """Correlate x (N, H, W, C) with the weight, packed in one of three ways; returns (N, O, *out_size)."""
        empty = self.device.memory.empty
        batch, channels = x.shape[0], x.shape[3]
        kernel = weight.shape[2:]
        panels = self._packed(weight, how)
        out_channels = weight.shape[1 if how else 0]
        out = empty((batch, *out_size, out_channels), x.dtype)
        bias = np.empty(0, x.dtype) if bias is None else np.ascontiguousarray(bias)
        gemm = gemm_address(SCALARS[x.dtype])
        top, left = padding[0][0], padding[1][0]
        nanoseconds = 2.0 * out.size * channels * kernel[0] * kernel[1] / _FLOPS_PER_NANOSECOND
        if channels < _FEW_CHANNELS:
            parts = number_of_parts(batch, nanoseconds)
            seats = number_of_seats(parts)
            slabs = self._slabs_by_value(seats, kernel, channels, *out_size, x.dtype)
            places = (*kernel, top, left, *stride, *dilation)
            launch_seated(correlate_few_channels, batch, parts, seats, gemm, x, panels, bias, out, slabs, places)
        elif out_size[1] >= _SHORT_ROW and kernel != (1, 1) and batch > 1:
            parts = number_of_parts(batch, nanoseconds)
            seats = number_of_seats(parts)
            canvases = self._canvases(seats, x, out_size, kernel, stride, padding, dilation)
            steps = (*stride, *dilation)
            launch_seated(correlate_rows, batch, parts, seats, gemm, x, panels, bias, out, canvases, top, left, steps)
        else:
            total = batch * out_size[0] * out_size[1]
            across = kernel[1] if kernel[1] * channels <= _SLAB_VALUES else 1
            block = min(_SLAB_PIXELS, -(-total // 2))
            blocks = -(-total // block)
            parts = number_of_parts(blocks, nanoseconds)
            seats = number_of_seats(parts)
            slabs = self.device.memory.workspace((seats, block, across * channels), x.dtype)
            steps = (*stride, *dilation)
            launch_seated(
                correlate_slabs, blocks, parts, seats, gemm, x, panels, bias, out, slabs, across, top, left, steps
            )
        return out.transpose(0, 3, 1, 2)

    def _spread_strided(
        self, grad: Any, weight: Any, input_size: Pair, stride: Pair, padding: Padding, dilation: Pair
    ) -> Any:
        empty = self.device.memory.empty
        batch, out_height, out_width, _ = grad.shape
        channels, kernel = weight.shape[1], weight.shape[2:]
        panels = self._packed(weight, EXCHANGED)
        top, left = padding[0][0], padding[1][0]
        height = max((out_height - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1, top + input_size[0])
        width = max((out_width - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1, left + input_size[1])
        parts = number_of_parts(batch, 2.0 * grad.size * channels * kernel[0] * kernel[1] / _FLOPS_PER_NANOSECOND)
        seats = number_of_seats(parts)
        canvases = self.device.memory.workspace((seats, height, width, channels), grad.dtype)
        out = empty((batch, *input_size, channels), grad.dtype)
        gemm = gemm_address(SCALARS[grad.dtype])
        steps = (*stride, *dilation)
        launch_seated(spread_rows, batch, parts, seats, gemm, grad, panels, out, canvases, top, left, steps)
        return out.transpose(0, 3, 1, 2)

    def _packed(self, weight: Any, how: int) -> Any:
        weight = np.ascontiguousarray(weight)
        out_channels, channels, *kernel = weight.shape
        if kernel == [1, 1]:
            matrix = weight.reshape(out_channels, channels)
            panels = packed(self.device, matrix if how else matrix.T)
            return panels.reshape(len(panels), 1, 1, *panels.shape[1:])
        columns, depth = (channels, out_channels) if how else (out_channels, channels)
        width = 2 * VECTOR_BYTES // weight.itemsize
        panels = self.device.memory.workspace((-(-columns // width), *kernel, depth, width), weight.dtype)
        launch(pack_weight, len(panels), number_of_parts(len(panels), panels.size), weight, panels, how)
        return panels

    def _canvases(
        self, number: int, x: Any, out_size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
    ) -> Any:
        """Return zeros for that number of padded images, or an array of size 0 where the images serve as they are."""
        size = [(out_size[d] - 1) * stride[d] + (kernel[d] - 1) * dilation[d] + 1 for d in (0, 1)]
        at_origin = padding[0][0] == 0 and padding[1][0] == 0
        if at_origin and size[0] <= x.shape[1] and size[1] <= x.shape[2]:
            return np.empty((0, 0, 0, 0), x.dtype)
        canvases = self.device.memory.workspace((number, *size, x.shape[3]), x.dtype)
        canvases.fill(0)
        return canvases

    def _slabs_by_value(
        self, number: int, kernel: Pair, channels: int, out_height: int, out_width: int, dtype: Any
    ) -> Any:
        rows = min(out_height, max(1, _SLAB_PIXELS // out_width))
        return self.device.memory.workspace((number, kernel[0] * kernel[1] * channels, rows * out_width), dtype)


def _images_together(batch: int, pixels: int) -> int:
    """Return the largest divisor of the batch for which that many equal groups have at least a slab's pixels each."""
    groups = max(1, min(batch, batch * pixels // _SLAB_PIXELS))
    return next(number for number in range(groups, 0, -1) if batch % number == 0)
