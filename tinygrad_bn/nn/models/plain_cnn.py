"""A stack of equal convolutional blocks: nothing but the order is special about it."""

from __future__ import annotations

from ...checks import as_index
from ...tensor import Tensor
from ..block import ActivationLike, ConvBlock
from ..container import Sequential
from ..linear import Linear
from ..module import Module
from ..order import OrderLike
from ..pooling import AdaptiveAvgPool2d, Flatten, MaxPool2d
from .arguments import image_shape

SMALLEST_POOLED = 8


class PlainCNN(Module):
    """Equal 3x3 blocks, averaged and classified: (N, C, H, W) -> logits (N, num_classes).

    A 2x2 max-pooling follows each block as long as the sides are at least 8 pixels; then come a mean over the pixels
    and a fully connected layer.

    Args:
        depth: number of blocks.
        in_channels, image_size: of the images, which are square.
        num_classes: number of logits.
        width: channels of every block.
        order, activation, bias: of every block; see `ConvBlock`.

    Attributes:
        input_shape: (channels, rows, columns) of an image.

    >>> import tinygrad_bn as tg
    >>> PlainCNN(4, width=8, order="preact")(tg.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(
        self,
        depth: int = 4,
        in_channels: int = 1,
        num_classes: int = 10,
        image_size: int = 28,
        width: int = 32,
        order: OrderLike = "convention",
        activation: ActivationLike = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.input_shape = image_shape("PlainCNN", in_channels, image_size)
        self.features = Sequential()
        channels, size = in_channels, image_size
        for _ in range(as_index("PlainCNN", "depth", depth, 1)):
            self.features.append(
                ConvBlock(channels, width, 3, padding=1, order=order, activation=activation, bias=bias)
            )
            channels = width
            if size >= SMALLEST_POOLED:
                self.features.append(MaxPool2d(2))
                size //= 2
        self.classifier = Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(width, num_classes))

    def forward(self, input: Tensor) -> Tensor:
        """Return logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.features(input))
        return logits
