"""Depthwise convolutions with kernels of 3x3: our own kernels, because general ones waste their work on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import CudaBase
from .launch import Tiling, tiling, width_of
from .layout import images_of, real_of, without_gaps

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Shape = tuple[int, int, int, int]

_TAPS = 9


def is_depthwise(weight: Shape, groups: int) -> bool:
    """Return whether a convolution is one that is computed here; the weight is (O, C/groups, KH, KW)."""
    return weight[1:] == (1, 3, 3) and weight[0] == groups > 1


class DepthwiseOverrides(CudaBase):
    """Convolutions with as many groups as channels and outputs; any stride, padding and dilation."""

    def depthwise_conv2d(
        self, x: Any, weight: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, out_size: Pair
    ) -> Any:
        """As `conv2d`."""
        images = images_of(x)
        batch, *size, channels = images.shape
        out = self.xp.empty((batch, *out_size, channels), x.dtype)
        arrays = (images, without_gaps(weight), None if bias is None else without_gaps(bias), out)
        tiles, sharing = _shared(out, images)
        window = _window(channels, size, out_size, stride, padding, dilation)
        launch = self.program.kernel("depthwise_conv2d", x.dtype)
        launch(tiles.grid, tiles.block, (*arrays, *window, *sharing))
        return out.transpose(0, 3, 1, 2)

    def depthwise_input_grad(
        self, grad: Any, weight: Any, input_size: Pair, stride: Pair, padding: Padding, dilation: Pair
    ) -> Any:
        """As `conv2d_input_grad`."""
        grads = images_of(grad)
        batch, *out_size, channels = grads.shape
        out = self.xp.empty((batch, *input_size, channels), grad.dtype)
        arrays = (grads, without_gaps(weight), out)
        tiles, sharing = _shared(out, grads)
        window = _window(channels, input_size, out_size, stride, padding, dilation)
        launch = self.program.kernel("depthwise_input_grad", grad.dtype)
        launch(tiles.grid, tiles.block, (*arrays, *window, *sharing))
        return out.transpose(0, 3, 1, 2)

    def depthwise_weight_grad(self, x: Any, grad: Any, stride: Pair, padding: Padding, dilation: Pair) -> Any:
        """As `conv2d_weight_grad`."""
        images, grads = images_of(x), images_of(grad)
        _, *size, channels = images.shape
        tiles, sharing = _shared(grads, images)
        parts = tiles.grid[1]
        partials = self.xp.empty((parts, _TAPS, channels), real_of(x.dtype))
        window = _window(channels, size, grads.shape[1:3], stride, padding, dilation)
        launch = self.program.kernel("depthwise_weight_grad", x.dtype)
        launch(tiles.grid, tiles.block, (images, grads, partials, *window, *sharing))
        out = self.xp.empty((channels, 1, 3, 3), x.dtype)
        tiles = tiling(parts, channels)
        launch = self.program.kernel("depthwise_weight_grad_sum", x.dtype)
        launch((tiles.grid[0], _TAPS), tiles.block, (partials, out, np.int32(channels), np.int32(parts)))
        return out


def _shared(images: Any, others: Any) -> tuple[Tiling, tuple[Any, ...]]:
    """Return how blocks share the pixels of images (N, H, W, C), and the arguments that tell the kernel."""
    channels = images.shape[3]
    pixels = images.size // channels
    width = width_of(channels, images, others)
    tiles = tiling(pixels, channels // width)
    return tiles, (np.int64(pixels), np.int64(tiles.rows), np.int32(width > 1))


def _window(
    channels: int, size: Sequence[int], out_size: Sequence[int], stride: Pair, padding: Padding, dilation: Pair
) -> tuple[Any, ...]:
    """Return the arguments that tell a kernel the sizes, and how the taps move over the input."""
    before = (padding[0][0], padding[1][0])
    return tuple(map(np.int32, (channels, *size, *out_size, *stride, *before, *dilation)))
