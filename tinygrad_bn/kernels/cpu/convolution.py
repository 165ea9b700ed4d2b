"""Convolution, by the algorithm that suits the shape."""

from __future__ import annotations

from typing import Any

from ..shapes import output_length
from .algorithm import chosen_algorithm, winograd_tile
from .depthwise import DepthwiseOverrides
from .direct import DirectConvolution
from .layout import FLOATS
from .winograd import WinogradConvolution

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


class ConvolutionOverrides(DirectConvolution, WinogradConvolution, DepthwiseOverrides):
    """The three convolutions; grouped ones other than depthwise go to the reference.

    Attributes:
        algorithm: the name of the algorithm that computes all convolutions it can compute; None: the fastest.
    """

    def __init__(self, device: Any) -> None:
        super().__init__(device)
        self.algorithm = chosen_algorithm()

    def conv2d(
        self, x: Any, weight: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int
    ) -> Any:
        if _covered(x, weight) and (bias is None or bias.dtype == x.dtype):
            if groups == 1:
                kernel = weight.shape[2:]
                size = (
                    output_length(x.shape[2], kernel[0], 1, padding[0], 1),
                    output_length(x.shape[3], kernel[1], 1, padding[1], 1),
                )
                tile = winograd_tile(self.algorithm, kernel, stride, dilation, weight.shape[:2], len(x), size)
                if tile:
                    return self.winograd_conv2d(x, weight, bias, padding, tile)
                return self.direct_conv2d(x, weight, bias, stride, padding, dilation)
            if groups == x.shape[1]:
                return self.depthwise_conv2d(x, weight, bias, stride, padding, dilation)
        return super().conv2d(x, weight, bias, stride, padding, dilation, groups)

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
        if _covered(grad, weight) and min(input_size) > 0:
            if groups == 1:
                kernel, channels = weight.shape[2:], weight.shape[:2]
                tile = winograd_tile(self.algorithm, kernel, stride, dilation, channels, len(grad), input_size)
                if tile:
                    return self.winograd_input_grad(grad, weight, input_size, padding, tile)
                return self.direct_input_grad(grad, weight, input_size, stride, padding, dilation)
            if weight.shape[1] == 1:
                return self.depthwise_input_grad(grad, weight, input_size, stride, padding, dilation, groups)
        return super().conv2d_input_grad(grad, weight, input_size, stride, padding, dilation, groups)

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
        if _covered(x, grad):
            if groups == 1:
                channels, size = (x.shape[1], grad.shape[1]), grad.shape[2:]
                tile = winograd_tile(self.algorithm, kernel, stride, dilation, channels, len(x), size)
                if tile:
                    return self.winograd_weight_grad(x, grad, padding, tile)
                return self.direct_weight_grad(x, grad, kernel, stride, padding, dilation)
            if groups == x.shape[1]:
                return self.depthwise_weight_grad(x, grad, kernel, stride, padding, dilation)
        return super().conv2d_weight_grad(x, grad, kernel, stride, padding, dilation, groups)


def _covered(a: Any, b: Any) -> bool:
    return a.dtype in FLOATS and b.dtype == a.dtype and a.size > 0 and b.size > 0
