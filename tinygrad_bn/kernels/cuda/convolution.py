"""Convolution and its gradients, by whom the shape suits: cuDNN, cuBLAS (kernels of one pixel), our own (depthwise)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from ...backend import get_float32_matmul_precision, once
from ...errors import DeviceError
from ..shapes import output_length
from . import libraries
from .cudnn_graphs import (
    BIAS,
    FORWARD,
    INPUT,
    INPUT_GRAD,
    OUTPUT,
    WEIGHT,
    WEIGHT_GRAD,
    Convolution,
    Pair,
    Shape,
    padding_after,
    result_of,
)
from .depthwise import DepthwiseOverrides, is_depthwise
from .layout import images_of, is_covered, rows_of, without_gaps
from .matmul import MatmulOverrides
from .plans import Plans, RefusedError

Padding = tuple[Pair, Pair]

_ALIGNMENT = 16
"""Bytes: what cuDNN's plans expect of every array."""


class ConvolutionOverrides(DepthwiseOverrides, MatmulOverrides):
    """The three convolutions; what cuDNN refuses goes to the reference, and `missing` says why."""

    @cached_property
    def plans(self) -> Plans | None:
        """cuDNN; where it cannot be used the reference computes convolutions."""
        try:
            with once():
                return Plans(libraries.load_cudnn(), self.device)
        except (DeviceError, RuntimeError) as error:
            self.missing["cuDNN"] = str(error)
            return None

    def load_libraries(self) -> None:
        """Load cuBLAS and cuDNN now; what is wrong with them is then in `missing`."""
        _ = self.cublas, self.plans

    def conv2d(
        self, x: Any, weight: Any, bias: Any, stride: Pair, padding: Padding, dilation: Pair, groups: int
    ) -> Any:
        out_size = _out_size(x.shape, weight.shape, stride, padding, dilation)
        if _covers(x, weight, bias) and min(out_size) > 0:
            if is_depthwise(weight.shape, groups):
                return self.depthwise_conv2d(x, weight, bias, stride, padding, dilation, out_size)
            if self._is_product(weight.shape, stride, padding, groups):
                result = self.matmul(rows_of(x), weight[:, :, 0, 0].T)
                if bias is not None:
                    result += bias
                return _images(result, x.shape)
            shapes = (x.shape, weight.shape, (len(x), len(weight), *out_size))
            operands = {INPUT: images_of(x), WEIGHT: images_of(weight)}
            if bias is not None:
                operands[BIAS] = without_gaps(bias)
            result = self._by_cudnn(FORWARD, shapes, (stride, padding, dilation), operands)
            if result is not None:
                return result
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
        if _covers(grad, weight) and min(input_size) > 0:
            if is_depthwise(weight.shape, groups):
                return self.depthwise_input_grad(grad, weight, input_size, stride, padding, dilation)
            if self._is_product(weight.shape, stride, padding, groups):
                return _images(self.matmul(rows_of(grad), weight[:, :, 0, 0]), grad.shape)
            shapes = ((len(grad), weight.shape[1] * groups, *input_size), weight.shape, grad.shape)
            operands = {OUTPUT: images_of(grad), WEIGHT: images_of(weight)}
            result = self._by_cudnn(INPUT_GRAD, shapes, (stride, padding, dilation), operands)
            if result is not None:
                return result
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
        if _covers(x, grad):
            weight_shape = (grad.shape[1], x.shape[1] // groups, *kernel)
            if is_depthwise(weight_shape, groups):
                return self.depthwise_weight_grad(x, grad, stride, padding, dilation)
            if self._is_product(weight_shape, stride, padding, groups):
                return self.matmul(rows_of(grad).T, rows_of(x))[:, :, None, None]
            operands = {INPUT: images_of(x), OUTPUT: images_of(grad)}
            shapes = (x.shape, weight_shape, grad.shape)
            result = self._by_cudnn(WEIGHT_GRAD, shapes, (stride, padding, dilation), operands)
            if result is not None:
                return result
        return super().conv2d_weight_grad(x, grad, kernel, stride, padding, dilation, groups)

    def _is_product(self, weight: Shape, stride: Pair, padding: Padding, groups: int) -> bool:
        """Return whether it is one product of matrices that cuBLAS can compute: of pixels' channels and the weight."""
        plain = weight[2:] == stride == (1, 1) and padding == ((0, 0), (0, 0)) and groups == 1
        return plain and self.cublas is not None

    def _by_cudnn(
        self,
        kind: str,
        shapes: tuple[Shape, Shape, Shape],
        window: tuple[Pair, Padding, Pair],
        operands: dict[int, Any],
    ) -> Any | None:
        """Return what a convolution gives, or None if cuDNN cannot compute it.

        Args:
            kind: FORWARD, INPUT_GRAD or WEIGHT_GRAD.
            shapes: of the convolution's input, weight and output.
            window: stride, padding and dilation.
            operands: channels-last arrays without gaps, by their numbers in `cudnn_graphs`.
        """
        after = _padding_after(*shapes, *window)
        if self.plans is None or after is None:
            return None
        stride, padding, dilation = window
        dtype = next(iter(operands.values())).dtype
        strict = dtype == "float32" and get_float32_matmul_precision() == "highest"
        before = (padding[0][0], padding[1][0])
        convolution = Convolution(kind, str(dtype), strict, BIAS in operands, *shapes, stride, dilation, before, after)
        number, (batch, channels, height, width) = result_of(convolution)
        result = self.xp.empty((batch, height, width, channels), dtype)
        arrays = {name: _aligned(operand) for name, operand in operands.items()}
        try:
            self.plans.execute(convolution, {**arrays, number: result})
        except RefusedError as error:
            self.missing[str(convolution)] = str(error)
            return None
        return result.transpose(0, 3, 1, 2)


def _covers(a: Any, b: Any, bias: Any = None) -> bool:
    same = a.dtype == b.dtype and (bias is None or bias.dtype == a.dtype)
    return same and is_covered(a.dtype) and min(a.size, b.size) > 0


def _out_size(x: Shape, weight: Shape, stride: Pair, padding: Padding, dilation: Pair) -> Pair:
    """Return the size of a convolution's output."""
    rows, columns = (output_length(x[2 + d], weight[2 + d], stride[d], padding[d], dilation[d]) for d in (0, 1))
    return rows, columns


def _padding_after(
    x: Shape, weight: Shape, output: Shape, stride: Pair, padding: Padding, dilation: Pair
) -> Pair | None:
    """Return the zeros below and on the right that cuDNN is told of, or None if it does not know such padding."""
    below, right = (
        padding_after(x[2 + d], weight[2 + d], stride[d], padding[d], dilation[d], output[2 + d]) for d in (0, 1)
    )
    return None if below is None or right is None else (below, right)


def _aligned(x: Any) -> Any:
    return x if x.data.ptr % _ALIGNMENT == 0 else x.copy()


def _images(rows: Any, shape: Shape) -> Any:
    """Return rows (N * H * W, channels) as images (N, channels, H, W): a view."""
    batch, _, height, width = shape
    return rows.reshape(batch, height, width, -1).transpose(0, 3, 1, 2)
