"""Residual networks for small images (He et al. 2015 and 2016), in any order of weight, norm and activation.

How an order maps onto a network with shortcuts. Write the chain of all layers in the given order, and

* let it begin at the first weight: the parts before a weight are left out of the stem and stand in the head, before
  the pooling;
* cut it into pairs of layers, the residual branches;
* let the addition come right before the last activation of a branch if that stands behind its weight; the activation,
  and what follows it, then comes after the addition.

| order           | branch            | after the addition | known as                                |
|-----------------|-------------------|--------------------|-----------------------------------------|
| weight-norm-act | W N A, W N        | A                  | the original (2015)                     |
| weight-act-norm | W A N, W          | A N                | the original, swapped                   |
| norm-act-weight | N A W, N A W      | -                  | full pre-activation (2016, figure 4e)   |
| act-norm-weight | A N W, A N W      | -                  | full pre-activation, swapped            |
| act-weight-norm | A W N, A W N      | -                  | ReLU-only pre-activation (figure 4d)    |
| norm-weight-act | N W A, N W        | A                  | -                                       |

`variant="pre-activation"` rotates the order until the weight comes last: "convention" becomes norm-act-weight, "swap"
act-norm-weight. Every order has the same number of parameters.
"""

from __future__ import annotations

from ...checks import as_index
from ...errors import ArgumentError, explain, unknown_choice
from ...tensor import Tensor
from ..block import ActivationLike, ConvBlock, make_parts
from ..container import Sequential
from ..linear import Linear
from ..module import Module
from ..normalization import BatchNorm2d
from ..order import OrderLike, parse_order
from ..pooling import AdaptiveAvgPool2d, Flatten
from .arguments import image_shape

VARIANTS = ("original", "pre-activation")

STAGES: dict[int, tuple[int, ...]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Residual blocks of each stage of the wide networks."""


class ResNet(Module):
    """A residual network: (N, C, H, W) -> logits (N, num_classes).

    * depth 18 or 34: four stages of width, 2, 4 and 8 times width channels, width 64 by default. Where the shape
      changes, the shortcut is a 1x1 convolution, followed by a norm if the order has one.
    * depth 6n + 2 (20, 32, 44, 56, 110, ...): three stages of n blocks, width 16 by default. Where the shape changes,
      the shortcut takes every second pixel and adds channels of zeros.

    Each stage but the first halves rows and columns. The stem is a 3x3 convolution of stride 1.

    Args:
        depth: number of weight layers from input to output.
        in_channels, image_size: of the images, which are square, of any size.
        num_classes: number of logits.
        width: channels of the first stage; None takes the default.
        order, activation, bias: of all layers; how an order is laid out is told above.
        variant: "original" or "pre-activation".

    Attributes:
        input_shape: (channels, rows, columns) of an image.
    """

    def __init__(
        self,
        depth: int = 20,
        in_channels: int = 3,
        num_classes: int = 10,
        image_size: int = 32,
        width: int | None = None,
        order: OrderLike = "convention",
        activation: ActivationLike = "relu",
        bias: bool = True,
        variant: str = "original",
    ) -> None:
        super().__init__()
        self.input_shape = image_shape("ResNet", in_channels, image_size)
        depth = as_index("ResNet", "depth", depth)
        if depth not in STAGES and (depth < 8 or depth % 6 != 2):
            raise ArgumentError(explain("ResNet", "depth 18, 34 or 6n + 2 (8, 14, 20, ...)", str(depth)))
        blocks = STAGES.get(depth, ((depth - 2) // 6,) * 3)
        channels = width or (64 if depth in STAGES else 16)
        parts = _parts(order, variant)
        position = parts.index("weight")

        self.stem = ConvBlock(
            in_channels,
            channels,
            3,
            padding=1,
            order=parts[position:],
            activation=activation,
            bias=bias,
        )
        self.stages = Sequential()
        for number, count in enumerate(blocks):
            stage = Sequential()
            for index in range(count):
                inputs = channels
                channels = channels if number == 0 or index > 0 else 2 * channels
                stride = channels // inputs
                block = ResidualBlock(inputs, channels, stride, parts, activation, bias, projection=depth in STAGES)
                stage.append(block)
            self.stages.append(stage)
        self.head = Sequential(make_parts(parts[:position], channels, activation, BatchNorm2d))
        self.classifier = Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(channels, num_classes))

    def forward(self, input: Tensor) -> Tensor:
        """Return logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.head(self.stages(self.stem(input))))
        return logits


class ResidualBlock(Module):
    """Two 3x3 layers beside a shortcut: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride).

    Args:
        in_channels, out_channels, stride: of the first layer.
        order, activation, bias: of both layers; see the table above.
        projection: where the shape changes, the shortcut is a 1x1 convolution; otherwise padding with zeros.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        order: OrderLike = "convention",
        activation: ActivationLike = "relu",
        bias: bool = True,
        projection: bool = True,
    ) -> None:
        super().__init__()
        parts = parse_order(order)
        addition = len(parts)
        if "act" in parts[parts.index("weight") :]:
            addition = parts.index("act")

        def layer(inputs: int, stride: int, order: tuple[str, ...]) -> ConvBlock:
            return ConvBlock(inputs, out_channels, 3, stride, padding=1, order=order, activation=activation, bias=bias)

        self.first = layer(in_channels, stride, parts)
        self.second = layer(out_channels, 1, parts[:addition])
        self.shortcut: Module | None = None
        if stride != 1 or in_channels != out_channels:
            linear_parts = ("weight", "norm") if "norm" in parts else ("weight",)
            self.shortcut = (
                ConvBlock(in_channels, out_channels, 1, stride, order=linear_parts, bias=bias)
                if projection
                else ZeroPadding(out_channels - in_channels, stride)
            )
        self.after = Sequential(make_parts(parts[addition:], out_channels, activation, BatchNorm2d))

    def forward(self, input: Tensor) -> Tensor:
        """Return branch plus shortcut, through the parts that come after the addition."""
        branch = self.second(self.first(input))
        result: Tensor = self.after(branch + (input if self.shortcut is None else self.shortcut(input)))
        return result


class ZeroPadding(Module):
    """The shortcut without parameters: every stride-th pixel, and further channels of zeros (He et al. 2015, option A).

    Args:
        extra_channels: number of channels of zeros.
        stride: distance between the pixels that are kept.
    """

    def __init__(self, extra_channels: int, stride: int) -> None:
        super().__init__()
        self.extra_channels = extra_channels
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, C + extra_channels, H / stride, W / stride)."""
        kept = input[:, :, :: self.stride, :: self.stride]
        return kept.pad(((0, 0), (0, self.extra_channels), (0, 0), (0, 0)))

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"extra_channels={self.extra_channels}, stride={self.stride}"


def _parts(order: OrderLike, variant: str) -> tuple[str, ...]:
    parts = parse_order(order)
    if variant not in VARIANTS:
        raise unknown_choice("ResNet", "variant", variant, VARIANTS)
    if variant == "original":
        return parts
    position = parts.index("weight")
    return (*parts[position + 1 :], *parts[: position + 1])
