"""MobileNet for small images (Howard et al. 2017): depthwise and pointwise convolutions in turn."""

from __future__ import annotations

from ...tensor import Tensor
from ..block import ActivationLike, ConvBlock
from ..container import Sequential
from ..linear import Linear
from ..module import Module
from ..order import OrderLike
from ..pooling import AdaptiveAvgPool2d, Flatten
from .arguments import image_shape

STEPS: tuple[tuple[int, int], ...] = (
    (2, 1),
    (4, 2),
    (4, 1),
    (8, 2),
    (8, 1),
    (16, 2),
    *((16, 1),) * 5,
    (32, 2),
    (32, 1),
)
"""Output channels (as multiples of width) and stride of each pair, as in the paper's table 1."""


class MobileNet(Module):
    """MobileNet v1: (N, C, H, W) -> logits (N, num_classes).

    A 3x3 block and 13 pairs of a depthwise 3x3 block and a pointwise 1x1 block, averaged and classified. As usual for
    small images the first convolution has stride 1; 32x32 pixels come down to 2x2.

    Args:
        in_channels, image_size: of the images, which are square, of any size.
        num_classes: number of logits.
        width: channels of the first block, 32 in the paper; width / 32 is the paper's width multiplier.
        order, activation, bias: of every block, depthwise or pointwise; see `ConvBlock`.

    Attributes:
        input_shape: (channels, rows, columns) of an image.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 10,
        image_size: int = 32,
        width: int = 32,
        order: OrderLike = "convention",
        activation: ActivationLike = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.input_shape = image_shape("MobileNet", in_channels, image_size)

        def block(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> ConvBlock:
            return ConvBlock(
                inputs,
                outputs,
                kernel,
                stride,
                padding=kernel // 2,
                groups=groups,
                order=order,
                activation=activation,
                bias=bias,
            )

        channels = width
        self.stem = block(in_channels, channels, 3)
        self.features = Sequential()
        for factor, stride in STEPS:
            outputs = factor * width
            depthwise = block(channels, channels, 3, stride, groups=channels)
            self.features.append(Sequential({"depthwise": depthwise, "pointwise": block(channels, outputs, 1)}))
            channels = outputs
        self.classifier = Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(channels, num_classes))

    def forward(self, input: Tensor) -> Tensor:
        """Return logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.features(self.stem(input)))
        return logits
