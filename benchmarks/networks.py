"""The networks that are measured: mirrors of `tinygrad_bn.nn.models`, which define them (a test compares the two)."""

from __future__ import annotations

from .layers import Activation, Conv, Flatten, Layer, Layers, Linear, MaxPool, Mean, Norm, Residual

VGG_STAGES = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
MOBILENET_STEPS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *((16, 1),) * 5, (32, 2), (32, 1))


def block(weight: Conv | Linear, order: str = "convention", activation: str = "relu") -> Layers:
    """Return a weight layer with BatchNorm before ("convention") or after ("swap") the activation."""
    norm, act = Norm(weight.outputs), Activation(activation)
    return (weight, norm, act) if order == "convention" else (weight, act, norm)


def small_cnn(
    in_channels: int = 1, image_size: int = 28, width: int = 32, order: str = "convention", activation: str = "relu"
) -> Layers:
    """Return the laboratory's network: four 3x3 blocks, pooled twice, and a fully connected block of 128."""
    return (
        *block(Conv(in_channels, width), order, activation),
        *block(Conv(width, width), order, activation),
        MaxPool(),
        *block(Conv(width, 2 * width), order, activation),
        *block(Conv(2 * width, 2 * width), order, activation),
        MaxPool(),
        Flatten(),
        *block(Linear(2 * width * (image_size // 4) ** 2, 128), order, activation),
        Linear(128, 10),
    )


def vgg(depth: int, width: int = 64) -> Layers:
    """Return VGG for images of 32x32 pixels and three channels."""
    layers: list[Layer] = []
    channels = 3
    for count, factor in zip(VGG_STAGES[depth], (1, 2, 4, 8, 8), strict=True):
        for _ in range(count):
            layers += block(Conv(channels, factor * width))
            channels = factor * width
        layers.append(MaxPool())
    return (*layers, Mean(), Linear(channels, 10))


def mobilenet(width: int = 32) -> Layers:
    """Return MobileNet v1 for small images of three channels."""
    layers = [*block(Conv(3, width))]
    channels = width
    for factor, stride in MOBILENET_STEPS:
        layers += block(Conv(channels, channels, 3, stride, groups=channels))
        layers += block(Conv(channels, factor * width, 1))
        channels = factor * width
    return (*layers, Mean(), Linear(channels, 10))


def residual_block(inputs: int, outputs: int) -> Layers:
    """Return two 3x3 layers beside a shortcut; more channels go with half the side."""
    stride = 1 if inputs == outputs else 2
    branch = (*block(Conv(inputs, outputs, 3, stride)), Conv(outputs, outputs), Norm(outputs))
    return (Residual(branch, stride, outputs - inputs), Activation("relu"))


def resnet20(width: int = 16) -> Layers:
    """Return the residual network of three stages of three blocks."""
    layers = [*block(Conv(3, width))]
    channels = width
    for outputs in (width, 2 * width, 4 * width):
        for _ in range(3):
            layers += residual_block(channels, outputs)
            channels = outputs
    return (*layers, Mean(), Linear(channels, 10))


def residual_chain(blocks: int, width: int) -> Layers:
    """Return that many residual blocks in a row, between a first convolution and a classifier."""
    layers = [*block(Conv(1, width))]
    for _ in range(blocks):
        layers += residual_block(width, width)
    return (*layers, Mean(), Linear(width, 10))


def mlp(in_features: int = 784, hidden: tuple[int, ...] = (256, 256)) -> Layers:
    """Return fully connected blocks and a classifier."""
    layers: list[Layer] = [Flatten()]
    for inputs, outputs in zip((in_features, *hidden), hidden, strict=False):
        layers += block(Linear(inputs, outputs))
    return (*layers, Linear(hidden[-1], 10))
