"""Pooling layers, and flattening."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..checks import as_index, as_pair
from ..errors import DTypeError, explain
from ..tensor import Tensor
from .module import Module

Size = int | tuple[int, int]


class MaxPool2d(Module):
    """The maximum of every window: (N, C, H, W) -> (N, C, OH, OW); see `functional.max_pool2d`.

    Args:
        kernel_size, padding, dilation: one number or (vertical, horizontal).
        stride: the same; None means kernel_size.
        ceil_mode: also count a last window that lies partly outside.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        for what, size, minimum in (
            ("kernel_size", self.kernel_size, 1),
            ("stride", self.stride, 1),
            ("padding", padding, 0),
            ("dilation", dilation, 1),
        ):
            as_pair("MaxPool2d", what, size, minimum)
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """Return (N, C, OH, OW)."""
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of every window: (N, C, H, W) -> (N, C, OH, OW); see `functional.avg_pool2d`.

    Args:
        kernel_size, padding: one number or (vertical, horizontal).
        stride: the same; None means kernel_size.
        ceil_mode: also count a last window that lies partly outside.
        count_include_pad: padding counts as elements.
        divisor_override: divide every window's sum by this instead.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        for what, size, minimum in (
            ("kernel_size", kernel_size, 1),
            ("stride", self.stride, 1),
            ("padding", padding, 0),
        ):
            as_pair("AvgPool2d", what, size, minimum)
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, C, OH, OW)."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """Means over windows chosen so that the output has a given size: (N, C, H, W) -> (N, C, rows, columns).

    Args:
        output_size: one number or (rows, columns); None keeps the input's.
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        pair = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
        as_pair("AdaptiveAvgPool2d", "output_size", tuple(1 if size is None else size for size in pair), 1)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, C, rows, columns)."""
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"output_size={self.output_size}"


class Flatten(Module):
    """Merge the axes from start_dim to end_dim into one: (N, C, H, W) -> (N, C * H * W) by default.

    Args:
        start_dim, end_dim: the first and the last axis to merge.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = as_index("Flatten", "start_dim", start_dim)
        self.end_dim = as_index("Flatten", "end_dim", end_dim)

    def forward(self, input: Tensor) -> Tensor:
        """Return the input with the axes merged."""
        if not isinstance(input, Tensor):
            raise DTypeError(explain("Flatten", "input to be a Tensor", type(input).__name__))
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
