"""The networks in PyTorch, in Swap order with tanh: the layers and names are those of `tinygrad_bn.nn.models`."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from .networks import HOSTILE, VGG16, batch


class ConvBlock(nn.Sequential):  # type: ignore[misc]
    """Convolution, tanh, BatchNorm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        super().__init__(OrderedDict(conv=conv, act=nn.Tanh(), norm=nn.BatchNorm2d(outputs)))


class LinearBlock(nn.Sequential):  # type: ignore[misc]
    """Linear, tanh, BatchNorm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        linear = nn.Linear(inputs, outputs)
        super().__init__(OrderedDict(linear=linear, act=nn.Tanh(), norm=nn.BatchNorm1d(outputs)))


class SmallCNN(nn.Sequential):  # type: ignore[misc]
    """Four convolutions for 28x28 images."""

    def __init__(self) -> None:
        first = ConvBlock(1, 32), ConvBlock(32, 32), nn.MaxPool2d(2)
        features = nn.Sequential(*first, ConvBlock(32, 64), ConvBlock(64, 64), nn.MaxPool2d(2))
        classifier = nn.Sequential(nn.Flatten(), LinearBlock(64 * 49, 128), nn.Linear(128, 10))
        super().__init__(OrderedDict(features=features, classifier=classifier))


class VGG(nn.Sequential):  # type: ignore[misc]
    """VGG16 for 32x32 images."""

    def __init__(self) -> None:
        layers: list[Any] = []
        channels = 3
        for count, width in VGG16:
            for _ in range(count):
                layers.append(ConvBlock(channels, width))
                channels = width
            layers.append(nn.MaxPool2d(2))
        classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
        super().__init__(OrderedDict(features=nn.Sequential(*layers), classifier=classifier))


class Chain(nn.Module):  # type: ignore[misc]
    """Residual blocks, one after the other."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8)) for _ in range(blocks))

    def forward(self, input: Any) -> Any:
        """Return what the last block adds up."""
        for layer in self.layers:
            input = input + layer(input)
        return input


def hostile() -> Any:
    """Return a network with the names HOSTILE for layers, for a leaf's class and for its own class."""
    leaf = type(HOSTILE[0], (nn.Tanh,), {})
    layers = {HOSTILE[0]: nn.Conv2d(1, 4, 3), HOSTILE[1]: nn.BatchNorm2d(4), "leaf": leaf()}
    return type(HOSTILE[1], (nn.Sequential,), {})(OrderedDict(layers))


def watched() -> Any:
    """Return a network that has running statistics and draws random numbers."""
    return nn.Sequential(SmallCNN(), nn.Dropout(0.5))


def network(name: str, blocks: int) -> tuple[Any, Any]:
    """Return a network in training mode, and its input; of the chain so many blocks."""
    torch.manual_seed(0)
    builders = {"smallcnn": SmallCNN, "vgg16": VGG, "hostile": hostile, "watched": watched}
    return Chain(blocks) if name == "chain" else builders[name](), torch.from_numpy(batch(name))
