"""Blocks: a weight layer, a normalisation and an activation, in any order.

One policy on biases, in every block and model: the weight layer has one unless `bias=False`, whatever the order. Right
before BatchNorm it is redundant (its gradient is zero), before an activation it is not; to leave it out only where it
is redundant would give one order fewer parameters than another, and to leave it out everywhere would take something
away from the orders that use it.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import DTypeError, explain
from .activation import activation as make_activation
from .container import Sequential
from .convolution import Conv2d, Size
from .linear import Linear
from .module import Module, check_module
from .normalization import BatchNorm1d, BatchNorm2d
from .order import OrderLike, parse_order

ActivationLike = str | Callable[[], Module]
NormLike = Callable[[int], Module]


class _Block(Sequential):
    """Children in the order of execution, by the names that say what they are."""

    def __init__(
        self,
        weight_name: str,
        weight: Module,
        features: tuple[int, int],
        order: OrderLike,
        activation: ActivationLike,
        norm: NormLike,
    ) -> None:
        parts = parse_order(order)
        position = parts.index("weight")
        # What stands before the weight layer sees its input channels, what stands behind it its output channels.
        super().__init__(
            {
                **make_parts(parts[:position], features[0], activation, norm),
                weight_name: weight,
                **make_parts(parts[position + 1 :], features[1], activation, norm),
            }
        )


def make_parts(parts: tuple[str, ...], channels: int, activation: ActivationLike, norm: NormLike) -> dict[str, Module]:
    """Return new modules for the parts "norm" and "act" by name, in their order."""
    modules = {}
    for part in parts:
        if part == "norm":
            modules[part] = check_module("norm", norm(channels))
        else:
            if isinstance(activation, Module) or not (isinstance(activation, str) or callable(activation)):
                expected = "activation to be a name, or a class or function that makes a module"
                raise DTypeError(explain("block", expected, repr(activation)))
            made = make_activation(activation) if isinstance(activation, str) else activation()
            modules[part] = check_module("activation", made)
    return modules


class ConvBlock(_Block):
    """A convolution, a BatchNorm and an activation: (N, in_channels, H, W) -> (N, out_channels, OH, OW).

    The children are called `conv`, `norm` and `act` and stand in the order of execution. Only the convolution draws
    random numbers, so one seed gives the same weights in every order.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups: of the convolution.
        order: a word of `nn.ORDERS`, such as "convention", "swap" or "norm-weight-act"; or a tuple of parts.
        activation: a function's name, or something that makes a module, such as `nn.Tanh`.
        bias: whether the convolution has a bias.
        norm: makes the normalisation from its number of channels: in_channels where it comes before the
            convolution, out_channels where it comes after.

    >>> ConvBlock(1, 8, 3, padding=1, order="swap", activation="tanh")
    ConvBlock(
      (conv): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (act): Tanh()
      (norm): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
    )
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        order: OrderLike = "convention",
        activation: ActivationLike = "relu",
        bias: bool = True,
        norm: NormLike = BatchNorm2d,
    ) -> None:
        conv = Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        super().__init__("conv", conv, (in_channels, out_channels), order, activation, norm)


class LinearBlock(_Block):
    """A fully connected layer, a BatchNorm and an activation: (N, in_features) -> (N, out_features).

    The children are called `linear`, `norm` and `act`; everything else as in `ConvBlock`.

    Args:
        in_features, out_features: of the fully connected layer.
        order, activation, bias, norm: as in `ConvBlock`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        order: OrderLike = "convention",
        activation: ActivationLike = "relu",
        bias: bool = True,
        norm: NormLike = BatchNorm1d,
    ) -> None:
        linear = Linear(in_features, out_features, bias)
        super().__init__("linear", linear, (in_features, out_features), order, activation, norm)
