"""Pooling over windows."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..autograd import apply
from ..checks import as_bool, as_index, as_pair
from ..errors import ArgumentError, ShapeError, explain
from ..kernels import kernels_of
from ..kernels.shapes import pooled_length
from ..tensor import Tensor
from .arguments import check_images

Size = int | tuple[int, int]


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the maximum of every window, as `torch.nn.functional.max_pool2d`.

    The first maximum of a window (row by row) takes the gradient; NaN counts as the maximum.

    Args:
        input: (N, C, H, W), or (C, H, W).
        kernel_size, stride, padding, dilation: one number or (vertical, horizontal); stride defaults to kernel_size,
            padding (of minus infinity) is at most half of it.
        ceil_mode: also count a last window that lies partly outside.
        return_indices: also return where each maximum was, as row * W + column, int64.

    Returns:
        (N, C, OH, OW), or that and the indices.
    """
    x, unbatched = check_images("max_pool2d", input)
    window = _window("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    op = ops.MaxPool2d(window, return_indices)
    result: Tensor = apply(op, x)
    if not return_indices:
        return result.squeeze(0) if unbatched else result
    indices = x.wrap(kernels_of(x.device).max_pool2d_indices(op.winner, x.shape[3], *window.arguments))
    return (result.squeeze(0), indices.squeeze(0)) if unbatched else (result, indices)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of every window, as `torch.nn.functional.avg_pool2d`.

    Args:
        input: (N, C, H, W), or (C, H, W).
        kernel_size, stride, padding: as in max_pool2d; padding is of zeros.
        ceil_mode: also count a last window that lies partly outside.
        count_include_pad: padding counts as elements.
        divisor_override: divide every window's sum by this instead.
    """
    x, unbatched = check_images("avg_pool2d", input)
    window = _window("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None and as_index("avg_pool2d", "divisor_override", divisor_override) == 0:
        raise ArgumentError(explain("avg_pool2d", "divisor_override other than 0", "0"))
    count_include_pad = as_bool("avg_pool2d", "count_include_pad", count_include_pad)
    result: Tensor = apply(ops.AvgPool2d(window, count_include_pad, divisor_override), x)
    return result.squeeze(0) if unbatched else result


def adaptive_avg_pool2d(input: Tensor, output_size: int | tuple[int | None, int | None] | None) -> Tensor:
    """Return means over windows chosen so that the output has a given size.

    Args:
        input: (N, C, H, W), or (C, H, W).
        output_size: one number or (rows, columns); None keeps the input's.
    """
    x, unbatched = check_images("adaptive_avg_pool2d", input)
    pair = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(pair) != 2:
        raise ArgumentError(explain("adaptive_avg_pool2d", "output_size of one number or two", repr(output_size)))
    if 0 in x.shape[1:]:
        raise ShapeError(explain("adaptive_avg_pool2d", "images with pixels", f"shape {x.shape}"))
    rows, columns = (
        x.shape[2 + d] if pair[d] is None else as_index("adaptive_avg_pool2d", "output_size", pair[d], 1)
        for d in (0, 1)
    )
    result: Tensor = apply(ops.AdaptiveAvgPool2d((rows, columns)), x)
    return result.squeeze(0) if unbatched else result


def _window(
    where: str,
    x: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
) -> ops.PoolWindow:
    ceil_mode = as_bool(where, "ceil_mode", ceil_mode)
    kernel = as_pair(where, "kernel_size", kernel_size, 1)
    steps = kernel if stride is None else as_pair(where, "stride", stride, 1)
    pad = as_pair(where, "padding", padding, 0)
    spread = as_pair(where, "dilation", dilation, 1)
    for d in (0, 1):
        if pad[d] > kernel[d] // 2:
            raise ArgumentError(
                explain(where, "padding of at most half the kernel size", f"padding {pad}, kernel size {kernel}")
            )
    rows, columns = (pooled_length(x.shape[2 + d], kernel[d], steps[d], pad[d], spread[d], ceil_mode) for d in (0, 1))
    if rows < 1 or columns < 1:
        raise ShapeError(
            explain(where, f"images that a window of {kernel} (dilation {spread}) fits into", f"shape {x.shape}")
        )
    return ops.PoolWindow(kernel, steps, pad, spread, (rows, columns))
