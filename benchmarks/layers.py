"""Networks as plain data, which every framework's worker translates into its own layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """A square convolution with a bias: (N, inputs, H, W) -> (N, outputs, OH, OW)."""

    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1

    @property
    def padding(self) -> int:
        """Zeros on each side: as many as keep the size at stride 1."""
        return self.kernel // 2


@dataclass(frozen=True)
class Linear:
    """A fully connected layer with a bias: (N, inputs) -> (N, outputs)."""

    inputs: int
    outputs: int


@dataclass(frozen=True)
class Norm:
    """BatchNorm over all axes but the second, momentum 0.1, eps 1e-5."""

    channels: int


@dataclass(frozen=True)
class Activation:
    """An activation: "relu" or "tanh"."""

    name: str


@dataclass(frozen=True)
class MaxPool:
    """Max pooling of 2x2 pixels with stride 2."""


@dataclass(frozen=True)
class Mean:
    """The mean over rows and columns: (N, C, H, W) -> (N, C)."""


@dataclass(frozen=True)
class Flatten:
    """(N, C, H, W) -> (N, C * H * W)."""


@dataclass(frozen=True)
class Residual:
    """A branch plus its input; every stride-th pixel of the input, with extra_channels channels of zeros added."""

    branch: tuple[Layer, ...]
    stride: int = 1
    extra_channels: int = 0


Layer = Conv | Linear | Norm | Activation | MaxPool | Mean | Flatten | Residual
Layers = tuple[Layer, ...]


def flat(layers: Layers) -> Iterator[Layer]:
    """Yield the layers in the order of their parameters, those of branches in place."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from flat(layer.branch)
        else:
            yield layer


def parameter_shapes(layers: Layers) -> list[tuple[int, ...]]:
    """Return the shapes of all parameters: of each layer the weight, then the bias."""
    shapes: list[tuple[int, ...]] = []
    for layer in flat(layers):
        if isinstance(layer, Conv):
            shapes += [(layer.outputs, layer.inputs // layer.groups, layer.kernel, layer.kernel), (layer.outputs,)]
        elif isinstance(layer, Linear):
            shapes += [(layer.outputs, layer.inputs), (layer.outputs,)]
        elif isinstance(layer, Norm):
            shapes += [(layer.channels,), (layer.channels,)]
    return shapes


def convolutions(layers: Layers, side: int) -> list[tuple[Conv, int]]:
    """Return the network's convolutions, each with the side of its square input images."""
    found: list[tuple[Conv, int]] = []
    for layer in flat(layers):
        if isinstance(layer, Conv):
            found.append((layer, side))
            side = -(-side // layer.stride)
        elif isinstance(layer, MaxPool):
            side //= 2
    return found
