"""Convolution, by the algorithm that suits the shape."""

from __future__ import annotations

from typing import Any

from .direct import DirectConvolution
from .layout import FLOATS

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


class ConvolutionOverrides(DirectConvolution):
    """The three convolutions; grouped ones other than depthwise go to the reference."""

    def conv2d(
        self, x: Any, weight: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int
    ) -> Any:
        if groups == 1 and _covered(x, weight) and (bias is None or bias.dtype == x.dtype):
            return self.direct_conv2d(x, weight, bias, stride, padding, dilation)
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
        if groups == 1 and _covered(grad, weight):
            return self.direct_input_grad(grad, weight, input_size, stride, padding, dilation)
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
        if groups == 1 and _covered(x, grad):
            return self.direct_weight_grad(x, grad, kernel, stride, padding, dilation)
        return super().conv2d_weight_grad(x, grad, kernel, stride, padding, dilation, groups)


def _covered(a: Any, b: Any) -> bool:
    return a.dtype in FLOATS and b.dtype == a.dtype and a.size > 0 and b.size > 0
