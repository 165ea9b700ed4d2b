"""Convolution layers."""

from __future__ import annotations

from typing import ClassVar

from .. import functional as F
from ..checks import as_index, as_pair
from ..creation import zeros
from ..errors import ArgumentError, explain, unknown_choice
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter

Size = int | tuple[int, int]


class _Convolution(Module):
    weight: Parameter
    bias: Parameter | None
    transposed: ClassVar[bool]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        dilation: Size,
        groups: int,
        bias: bool,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.in_channels = as_index(where, "in_channels", in_channels, 1)
        self.out_channels = as_index(where, "out_channels", out_channels, 1)
        self.kernel_size = as_pair(where, "kernel_size", kernel_size, 1)
        self.stride = as_pair(where, "stride", stride, 1)
        self.padding = padding if isinstance(padding, str) else as_pair(where, "padding", padding, 0)
        self.dilation = as_pair(where, "dilation", dilation, 1)
        self.groups = as_index(where, "groups", groups, 1)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ArgumentError(
                explain(
                    where,
                    f"in_channels and out_channels divisible by groups = {self.groups}",
                    f"{self.in_channels} and {self.out_channels}",
                )
            )
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        self.weight = Parameter(zeros(first, second // self.groups, *self.kernel_size))
        self.register_parameter("bias", Parameter(zeros(self.out_channels)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias again."""
        init.default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes and the stride, and of the other settings those that are not the default ones."""
        settings = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            settings += f", padding={self.padding}"
        if self.dilation != (1, 1):
            settings += f", dilation={self.dilation}"
        if self.groups != 1:
            settings += f", groups={self.groups}"
        return settings if self.bias is not None else f"{settings}, bias=False"


class Conv2d(_Convolution):
    """Convolution of images: (N, in_channels, H, W) -> (N, out_channels, OH, OW); see `functional.conv2d`.

    Weight (out_channels, in_channels / groups, KH, KW) and bias (out_channels,) start uniform within 1 / sqrt(fan_in)
    of 0, fan_in = in_channels / groups * KH * KW, as in PyTorch.

    Args:
        in_channels, out_channels: of the images; both divisible by groups.
        kernel_size, stride, dilation: one number or (vertical, horizontal).
        padding: zeros on each side; or "same" (stride 1 only) or "valid".
        groups: the channels are split into that many independent groups; in_channels makes it depthwise.
        bias: False leaves the bias out.

    >>> import tinygrad_bn as tg
    >>> Conv2d(3, 16, 3, stride=2, padding=1)(tg.zeros(8, 3, 32, 32)).shape
    (8, 16, 16, 16)
    """

    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise unknown_choice("Conv2d", "padding", padding, ("same", "valid"))
        if padding == "same" and as_pair("Conv2d", "stride", stride, 1) != (1, 1):
            raise ArgumentError(explain("Conv2d", "stride 1 with padding='same'", f"stride {stride}"))
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, out_channels, OH, OW)."""
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ConvTranspose2d(_Convolution):
    """Transposed convolution: (N, in_channels, H, W) -> (N, out_channels, OH, OW); see `functional.conv_transpose2d`.

    Weight (in_channels, out_channels / groups, KH, KW) and bias (out_channels,) start as in PyTorch: uniform within
    1 / sqrt(out_channels / groups * KH * KW) of 0.

    Args:
        in_channels, out_channels: of the images; both divisible by groups.
        kernel_size, stride, padding, dilation: of the convolution whose gradient this is.
        output_padding: rows and columns added below and right.
        groups: the channels are split into that many independent groups.
        bias: False leaves the bias out.
    """

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.output_padding = as_pair("ConvTranspose2d", "output_padding", output_padding, 0)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, out_channels, OH, OW)."""
        return F.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,  # type: ignore[arg-type]  # only Conv2d takes a word
            self.output_padding,
            self.groups,
            self.dilation,
        )

    def extra_repr(self) -> str:
        """Return the settings as every convolution does, and output_padding if there is any."""
        shown = super().extra_repr()
        return shown if self.output_padding == (0, 0) else f"{shown}, output_padding={self.output_padding}"
