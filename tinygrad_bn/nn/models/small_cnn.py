"""A small convolutional network for small images: the laboratory's standard model."""

from __future__ import annotations

from ...tensor import Tensor
from ..block import ActivationLike, ConvBlock, LinearBlock
from ..container import Sequential
from ..linear import Linear
from ..module import Module
from ..order import OrderLike
from ..pooling import Flatten, MaxPool2d
from .arguments import image_shape

HIDDEN = 128


class SmallCNN(Module):
    """Four 3x3 blocks, pooled twice, a fully connected block and a classifier: (N, C, H, W) -> logits (N, classes).

    block(width), block(width), max-pool 2, block(2 width), block(2 width), max-pool 2, fully connected block(128),
    linear(num_classes). Every block has the given order, the fully connected one too.

    Args:
        in_channels, image_size: of the images, which are square; image_size is at least 4.
        num_classes: number of logits.
        width: channels of the first block.
        order, activation, bias: of every block; see `ConvBlock`.

    Attributes:
        input_shape: (channels, rows, columns) of an image.

    >>> import tinygrad_bn as tg
    >>> SmallCNN(order="swap", activation="tanh", width=4)(tg.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 10,
        image_size: int = 28,
        width: int = 32,
        order: OrderLike = "convention",
        activation: ActivationLike = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.input_shape = image_shape("SmallCNN", in_channels, image_size, at_least=4)

        def block(inputs: int, outputs: int) -> ConvBlock:
            return ConvBlock(inputs, outputs, 3, padding=1, order=order, activation=activation, bias=bias)

        self.features = Sequential(
            block(in_channels, width),
            block(width, width),
            MaxPool2d(2),
            block(width, 2 * width),
            block(2 * width, 2 * width),
            MaxPool2d(2),
        )
        pixels = (image_size // 4) ** 2
        self.classifier = Sequential(
            Flatten(),
            LinearBlock(2 * width * pixels, HIDDEN, order, activation, bias),
            Linear(HIDDEN, num_classes),
        )

    def forward(self, input: Tensor) -> Tensor:
        """Return logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.features(input))
        return logits
