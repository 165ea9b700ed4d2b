"""VGG for small images (Simonyan & Zisserman 2015, table 1), with one fully connected layer."""

from __future__ import annotations

from ...checks import as_index
from ...errors import unknown_choice
from ...tensor import Tensor
from ..block import ActivationLike, ConvBlock
from ..container import Sequential
from ..linear import Linear
from ..module import Module
from ..order import OrderLike
from ..pooling import AdaptiveAvgPool2d, Flatten, MaxPool2d
from .arguments import image_shape

STAGES: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions before each pooling, by the number of layers in the name."""


class VGG(Module):
    """3x3 blocks in five stages, max-pooled after each, and a classifier: (N, C, H, W) -> logits (N, num_classes).

    The channels are width, 2, 4, 8 and 8 times width. Images smaller than 32 pixels are pooled until one pixel is left.
    As usual for small images, one fully connected layer takes the place of the original three (and of 119 million
    parameters); larger images are averaged to one pixel before it.

    Args:
        depth: 11, 13, 16 or 19.
        in_channels, image_size: of the images, which are square.
        num_classes: number of logits.
        width: channels of the first stage.
        order, activation, bias: of every block; see `ConvBlock`.

    Attributes:
        input_shape: (channels, rows, columns) of an image.
    """

    def __init__(
        self,
        depth: int = 16,
        in_channels: int = 3,
        num_classes: int = 10,
        image_size: int = 32,
        width: int = 64,
        order: OrderLike = "convention",
        activation: ActivationLike = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        if as_index("VGG", "depth", depth) not in STAGES:
            raise unknown_choice("VGG", "depth", depth, map(str, STAGES))
        self.input_shape = image_shape("VGG", in_channels, image_size)
        self.features = Sequential()
        channels, size = in_channels, image_size
        for count, factor in zip(STAGES[depth], (1, 2, 4, 8, 8), strict=True):
            for _ in range(count):
                self.features.append(
                    ConvBlock(channels, factor * width, 3, padding=1, order=order, activation=activation, bias=bias)
                )
                channels = factor * width
            if size >= 2:
                self.features.append(MaxPool2d(2))
                size //= 2
        self.classifier = Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(channels, num_classes))

    def forward(self, input: Tensor) -> Tensor:
        """Return logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.features(input))
        return logits
