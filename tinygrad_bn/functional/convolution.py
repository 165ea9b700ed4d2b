"""Linear maps: fully connected, convolution, transposed convolution."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..autograd import apply, autocast_operands
from ..checks import as_index, as_pair
from ..errors import ArgumentError, DTypeError, ShapeError, explain, unknown_choice
from ..kernels.shapes import output_length
from ..tensor import Tensor
from .arguments import check_devices, check_floating, check_images, check_parameter

Size = int | tuple[int, int]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return input @ weight^T + bias.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,).

    Returns:
        (..., out_features).

    Raises:
        ShapeError, DTypeError: the operands do not fit together.
    """
    input, weight, bias = autocast_operands(ops.Linear.precision, input, weight, bias)
    x = check_floating("linear", "input", input)
    check_floating("linear", "weight", weight)
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            explain(
                "linear",
                "input (..., in_features) and weight (out_features, in_features)",
                f"shapes {x.shape} and {weight.shape}",
            )
        )
    check_parameter("linear", "weight", weight, weight.shape, x.dtype)
    check_parameter("linear", "bias", bias, (weight.shape[0],), x.dtype)
    result: Tensor = apply(ops.Linear(), x, weight, bias)
    return result


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Return the cross-correlation of images with a kernel, as `torch.nn.functional.conv2d`.

    Args:
        input: (N, C, H, W), or (C, H, W).
        weight: (O, C / groups, KH, KW).
        bias: (O,).
        stride, dilation: one number or (vertical, horizontal), at least 1.
        padding: zeros added on both sides, one number or (vertical, horizontal); or "valid" (none), or "same"
            (as many as keep H and W, the odd one below and right; stride 1 only).
        groups: the channels are split into that many independent groups; C and O must be divisible by it.

    Returns:
        (N, O, OH, OW) with OH = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1.

    Raises:
        ShapeError, DTypeError, ArgumentError: operands or arguments do not fit together.
    """
    input, weight, bias = autocast_operands(ops.Conv2d.precision, input, weight, bias)
    x, unbatched = check_images("conv2d", input)
    _check_kernel("conv2d", weight, x)
    steps, spread = as_pair("conv2d", "stride", stride, 1), as_pair("conv2d", "dilation", dilation, 1)
    around = _padding("conv2d", padding, weight.shape[2:], steps, spread)
    window = ops.Window(steps, around, spread, as_index("conv2d", "groups", groups, 1))
    (_, channels, *size), (out_channels, in_per_group, *kernel) = x.shape, weight.shape
    if channels != in_per_group * window.groups or out_channels % window.groups:
        raise ShapeError(
            explain(
                "conv2d",
                f"weight (O, {channels} / groups, KH, KW) with groups = {window.groups}, which must divide O",
                f"shape {weight.shape}",
            )
        )
    check_parameter("conv2d", "bias", bias, (out_channels,), x.dtype)
    for d in (0, 1):
        if output_length(size[d], kernel[d], steps[d], around[d], spread[d]) < 1:
            raise ShapeError(
                explain(
                    "conv2d",
                    f"images at least as large as the kernel {tuple(kernel)} (dilation {window.dilation})",
                    f"images {x.shape[2:]} with padding {window.padding}",
                )
            )
    result: Tensor = apply(ops.Conv2d(window), x, weight, bias)
    return result.squeeze(0) if unbatched else result


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Return the transposed convolution: the gradient of conv2d's input, as an operation of its own.

    Args:
        input: (N, C, H, W), or (C, H, W).
        weight: (C, O / groups, KH, KW).
        bias: (O,).
        stride, padding, dilation: of the convolution that it is the gradient of.
        output_padding: rows and columns added below and right; smaller than stride or dilation.
        groups: the channels are split into that many independent groups.

    Returns:
        (N, O, OH, OW) with OH = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1.
    """
    where = "conv_transpose2d"
    input, weight, bias = autocast_operands(ops.Conv2dInputGrad.precision, input, weight, bias)
    x, unbatched = check_images(where, input)
    _check_kernel(where, weight, x)
    pad = as_pair(where, "padding", padding, 0)
    extra = as_pair(where, "output_padding", output_padding, 0)
    window = ops.Window(
        as_pair(where, "stride", stride, 1),
        # The convolution that this is the gradient of does not read the rows and columns of the output padding.
        ((pad[0], pad[0] - extra[0]), (pad[1], pad[1] - extra[1])),
        as_pair(where, "dilation", dilation, 1),
        as_index(where, "groups", groups, 1),
    )
    in_channels, out_per_group, *kernel = weight.shape
    if x.shape[1] != in_channels or in_channels % window.groups:
        raise ShapeError(
            explain(
                where,
                f"weight (C, O / groups, KH, KW) with C = {x.shape[1]} divisible by groups = {window.groups}",
                f"shape {weight.shape}",
            )
        )
    check_parameter(where, "bias", bias, (out_per_group * window.groups,), x.dtype)
    check_devices(where, x, weight, bias)
    for d in (0, 1):
        if extra[d] >= max(window.stride[d], window.dilation[d]):
            raise ArgumentError(
                explain(
                    where,
                    "output_padding smaller than stride or dilation",
                    f"output_padding={output_padding}",
                )
            )
    rows, columns = (
        (x.shape[2 + d] - 1) * window.stride[d] - 2 * pad[d] + window.dilation[d] * (kernel[d] - 1) + extra[d] + 1
        for d in (0, 1)
    )
    if rows < 1 or columns < 1:
        raise ShapeError(explain(where, "an output of at least 1 x 1", f"{rows} x {columns}", "use less padding"))
    result: Tensor = apply(ops.Conv2dInputGrad(window, (rows, columns)), x, weight)
    if bias is not None:
        result = result + bias.reshape(1, -1, 1, 1)
    return result.squeeze(0) if unbatched else result


def _check_kernel(where: str, weight: Any, x: Tensor) -> None:
    """Check that a convolution's weight is a 4-dimensional tensor of the input's dtype."""
    check_floating(where, "weight", weight)
    if weight.ndim != 4 or 0 in weight.shape:
        raise ShapeError(explain(where, "weight of 4 dimensions, none of length 0", f"shape {weight.shape}"))
    if weight.dtype != x.dtype:
        raise DTypeError(explain(where, f"weight of the input's dtype {x.dtype}", str(weight.dtype), "use astype"))


def _padding(
    where: str, padding: Size | str, kernel: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding as ((top, bottom), (left, right))."""
    if not isinstance(padding, str):
        rows, columns = as_pair(where, "padding", padding, 0)
        return (rows, rows), (columns, columns)
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        raise unknown_choice(where, "padding", padding, ("valid", "same"))
    if stride != (1, 1):
        raise ArgumentError(explain(where, "stride 1 with padding='same'", f"stride {stride}"))
    vertical, horizontal = (dilation[d] * (kernel[d] - 1) for d in (0, 1))
    return (vertical // 2, vertical - vertical // 2), (horizontal // 2, horizontal - horizontal // 2)
