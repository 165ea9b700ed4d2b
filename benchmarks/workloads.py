"""What is measured: training steps, inference, single operations, the graph's overhead, and how cost grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import networks
from .layers import Layers, convolutions, parameter_shapes

ALL_PEERS = ("torch", "jax", "chainer", "dezero")

LEARNING_RATE = 1e-4
"""Of SGD with momentum 0.9. Small, so that ten steps of a deep network do not blow rounding up."""


UPDATES_COMPARED = 5
"""Steps of an optimiser, after which the parameters are compared."""


@dataclass(frozen=True)
class Network:
    """A network on one batch of random images: a training step (forward, backward, SGD with momentum), or inference.

    Args:
        name, title: for the command line and for the tables.
        layers: what the peers build.
        model, settings: what `tinygrad_bn.nn.build_model` builds; the same network.
        image: (channels, rows, columns).
        mode: "train", "inference", or "folded" (inference, BatchNorm folded into the weights before it).
        peers: the contestants or environments that take part.
        bars: the largest ratio of our time to a peer's that the project has set itself.
        precision: on a GPU, how products are computed: "float32", "tf32" or "bfloat16".
    """

    name: str
    title: str
    layers: Layers
    model: str
    settings: dict[str, Any]
    image: tuple[int, int, int]
    batch: int = 64
    mode: str = "train"
    peers: tuple[str, ...] = ("torch",)
    bars: dict[str, float] = field(default_factory=dict)
    precision: str = "float32"


@dataclass(frozen=True)
class Operation:
    """One operation on random arrays, forward alone or forward and backward.

    Args:
        name, title: for the command line and for the tables.
        operation: the operation's name in every worker.
        inputs: shapes of the differentiable inputs by name.
        output: shape of the output.
        settings: further arguments.
        backward: whether the backward pass is measured together with the forward pass.
        peers: the contestants or environments that take part.
        precision: on a GPU, how products are computed: "float32" or "tf32"; and "bfloat16", that of all arrays.
        sets: how many sets of inputs take turns, so that none is in a cache when its turn comes.
    """

    name: str
    title: str
    operation: str
    inputs: dict[str, tuple[int, ...]]
    output: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    backward: bool = True
    peers: tuple[str, ...] = ("torch-eager", "torch-channels-last")
    precision: str = "float32"
    sets: int = 1


@dataclass(frozen=True)
class Update:
    """One step of an optimiser ("sgd" with momentum, or "adam") over parameters of these shapes."""

    name: str
    title: str
    optimizer: str
    shapes: tuple[tuple[int, ...], ...]
    peers: tuple[str, ...] = ("torch-eager",)


@dataclass(frozen=True)
class Chain:
    """Forward and backward through a chain of element-wise operations on two numbers: nothing but overhead."""

    name: str
    title: str
    nodes: int
    peers: tuple[str, ...] = ("torch-eager", "jax", "chainer", "dezero")


Workload = Network | Operation | Update | Chain

_SMALL = {"eager": 0.9, "torch-compile": 1.0, "chainer": 0.12, "dezero": 0.12}
_SMALL_28 = {"eager": 0.7, "torch-compile": 0.8, "chainer": 0.1, "dezero": 0.1}
_VGG = {"eager": 0.8, "torch-compile": 0.9}
_MOBILENET = {"eager": 0.8, "torch-compile": 1.0}


def _small_cnn(side: int, order: str, activation: str, bars: dict[str, float]) -> Network:
    return Network(
        f"small-cnn-{side}-{order}-{activation}",
        f"SmallCNN {side}x{side}, {order} {activation}",
        networks.small_cnn(image_size=side, order=order, activation=activation),
        "small_cnn",
        {"image_size": side, "order": order, "activation": activation},
        (1, side, side),
        peers=ALL_PEERS,
        bars=bars,
    )


def _vgg(depth: int, mode: str = "train") -> Network:
    name, title = {
        "train": (f"vgg{depth}", f"VGG{depth}"),
        "inference": (f"vgg{depth}-inference", f"VGG{depth} inference"),
        "folded": (f"vgg{depth}-inference-folded", f"VGG{depth} inference, folded"),
    }[mode]
    settings: dict[str, Any] = {"in_channels": 3, "image_size": 32}
    layers = networks.vgg(depth)
    return Network(name, title, layers, f"vgg{depth}", settings, (3, 32, 32), mode=mode, bars=_VGG)


NETWORKS: tuple[Network, ...] = (
    _small_cnn(8, "convention", "relu", _SMALL),
    _small_cnn(8, "swap", "tanh", _SMALL),
    _small_cnn(28, "convention", "relu", _SMALL_28),
    _small_cnn(28, "swap", "tanh", _SMALL_28),
    _vgg(11),
    _vgg(16),
    Network(
        "mobilenet",
        "MobileNet",
        networks.mobilenet(),
        "mobilenet",
        {"in_channels": 3, "image_size": 32},
        (3, 32, 32),
        bars=_MOBILENET,
    ),
    Network(
        "resnet20",
        "ResNet20",
        networks.resnet20(),
        "resnet20",
        {"in_channels": 3, "image_size": 32},
        (3, 32, 32),
        peers=("torch", "jax"),
    ),
    Network("mlp", "MLP 784-256-256-10", networks.mlp(), "mlp", {}, (1, 28, 28), peers=ALL_PEERS),
    _vgg(11, "inference"),
    _vgg(11, "folded"),
)

CONVOLUTIONS = {
    "conv3x3": ((3, 64, 32), (32, 32, 28), (32, 64, 14), (64, 64, 32), (128, 128, 16), (256, 256, 8), (512, 512, 4)),
    "conv1x1": ((32, 64, 32), (128, 256, 16), (512, 512, 4)),
}
"""Single convolutions, batch 64: (input channels, output channels, side)."""

DEPTHWISE = ((32, 32, 1), (64, 32, 2), (128, 16, 1), (512, 4, 1))
"""Depthwise 3x3 convolutions, batch 64: (channels, side, stride)."""

IMAGES = (64, 64, 32, 32)


def _operations() -> list[Operation]:
    made: list[Operation] = []

    def add(name: str, operation: str, inputs: dict[str, Any], output: tuple[int, ...], **settings: Any) -> None:
        made.extend(
            Operation(f"{name}/{direction}", f"{name}, {direction}", operation, inputs, output, settings, backward)
            for direction, backward in (("forward", False), ("both", True))
        )

    for kind, shapes in CONVOLUTIONS.items():
        kernel = int(kind[-1])
        for inputs, outputs, side in shapes:
            arrays = {
                "input": (64, inputs, side, side),
                "weight": (outputs, inputs, kernel, kernel),
                "bias": (outputs,),
            }
            output = (64, outputs, side, side)
            add(f"{kind} {inputs}-{outputs} {side}x{side}", "conv2d", arrays, output, padding=kernel // 2)
    for channels, side, stride in DEPTHWISE:
        arrays = {"input": (64, channels, side, side), "weight": (channels, 1, 3, 3), "bias": (channels,)}
        output = (64, channels, side // stride, side // stride)
        name = f"depthwise3x3 {channels} {side}x{side}" + (f" stride {stride}" if stride > 1 else "")
        add(name, "conv2d", arrays, output, padding=1, stride=stride, groups=channels)
    affine = {"input": IMAGES, "weight": IMAGES[1:2], "bias": IMAGES[1:2]}
    add("batch_norm", "batch_norm", affine, IMAGES)
    for activation in ("relu", "tanh"):
        add(f"batch_norm, {activation}", "norm_act", affine, IMAGES, activation=activation)
        add(f"{activation}, batch_norm", "act_norm", affine, IMAGES, activation=activation)
        add(activation, activation, {"input": IMAGES}, IMAGES)
    add("max_pool 2x2", "max_pool2d", {"input": IMAGES}, (64, 64, 16, 16))
    add("avg_pool 2x2", "avg_pool2d", {"input": IMAGES}, (64, 64, 16, 16))
    linear = {"input": (64, 3136), "weight": (128, 3136), "bias": (128,)}
    add("linear 3136-128", "linear", linear, (64, 128))
    add("cross_entropy 64x10", "cross_entropy", {"input": (64, 10)}, ())
    add("cross_entropy 1024x1000", "cross_entropy", {"input": (1024, 1000)}, ())
    return made


def _updates() -> list[Update]:
    shapes = tuple(parameter_shapes(networks.mobilenet()))
    numbers = f"{len(shapes)} arrays of MobileNet"
    return [
        Update("update-sgd", f"SGD with momentum, {numbers}", "sgd", shapes),
        Update("update-adam", f"Adam, {numbers}", "adam", shapes),
    ]


OPERATIONS: tuple[Operation, ...] = tuple(_operations())
UPDATES: tuple[Update, ...] = tuple(_updates())
CHAINS: tuple[Chain, ...] = (Chain("graph", "graph of 1000 nodes", 1000),)
TIMED: tuple[Workload, ...] = (*NETWORKS, *CHAINS, *UPDATES, *OPERATIONS)
"""All that is timed, in the order of the tables."""

QUICK_OPERATIONS = {
    f"{name}/both"
    for name in (
        "conv3x3 64-64 32x32",
        "conv3x3 256-256 8x8",
        "conv1x1 128-256 16x16",
        "depthwise3x3 128 16x16",
        "batch_norm",
        "batch_norm, relu",
        "tanh, batch_norm",
        "relu",
        "tanh",
        "max_pool 2x2",
        "linear 3136-128",
        "cross_entropy 64x10",
    )
}
"""The single operations of a quick run."""

QUICK_MEMORY = {"small-cnn-28-convention-relu", "vgg11"}
"""The networks whose memory a quick run measures."""

GROWTH: dict[str, tuple[int, ...]] = {
    "batch": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    "depth": (1, 3, 10, 30, 100, 300, 1000),
    "width": (4, 8, 16, 32, 64, 128),
    "side": (8, 12, 16, 24, 32, 48, 64, 96),
}
"""What grows, and the values it takes."""

GROWTH_QUICK: dict[str, tuple[int, ...]] = {
    "batch": (1, 8, 64, 512),
    "depth": (1, 10, 100, 1000),
    "width": (4, 16, 64),
    "side": (8, 16, 32, 64),
}


def growing(what: str, value: int) -> Network:
    """Return a training step in which one thing has this value and all others their usual one.

    batch: ResNet20 (one image is enough for its BatchNorms); width, side: SmallCNN of width 32 on 28x28 images, batch
    64; depth: that many residual blocks of 8 channels on 8x8 images, batch 8.
    """
    name, title = f"growth-{what}-{value}", f"{what} {value}"
    if what == "batch":
        return Network(name, title, networks.resnet20(), "resnet20", {}, (3, 32, 32), value)
    if what == "depth":
        settings: dict[str, Any] = {"blocks": value, "width": 8}
        return Network(name, title, networks.residual_chain(**settings), "residual_chain", settings, (1, 8, 8), 8)
    settings = {"image_size": value if what == "side" else 28, "width": value if what == "width" else 32}
    image = (1, settings["image_size"], settings["image_size"])
    return Network(name, title, networks.small_cnn(**settings), "small_cnn", settings, image)


TINY = Network(
    "tiny",
    "a tiny SmallCNN",
    networks.small_cnn(image_size=8, width=8),
    "small_cnn",
    {"image_size": 8, "width": 8},
    (1, 8, 8),
    peers=ALL_PEERS,
)
"""Loads a framework's code before memory is measured; of the usual batch, on which the choice of algorithms depends."""


def convolution_shapes() -> list[Operation]:
    """Return each convolution that occurs in a network of the benchmark, once, as an operation of its own."""
    found: dict[str, Operation] = {}
    for network in NETWORKS:
        for conv, side in convolutions(network.layers, network.image[1]):
            size = -(-side // conv.stride)
            kind = f"depthwise{conv.kernel}x{conv.kernel}" if conv.groups > 1 else f"conv{conv.kernel}x{conv.kernel}"
            name = f"{kind} {conv.inputs}-{conv.outputs} {side}x{side}" + (" stride 2" if conv.stride > 1 else "")
            found[name] = Operation(
                f"accuracy/{name}",
                name,
                "conv2d",
                {
                    "input": (network.batch, conv.inputs, side, side),
                    "weight": (conv.outputs, conv.inputs // conv.groups, conv.kernel, conv.kernel),
                    "bias": (conv.outputs,),
                },
                (network.batch, conv.outputs, size, size),
                {"padding": conv.padding, "stride": conv.stride, "groups": conv.groups},
            )
    return list(found.values())


_BY_NAME: dict[str, Workload] = {TINY.name: TINY, **{workload.name: workload for workload in TIMED}}


def find(name: str) -> Workload:
    """Return the workload of that name.

    Raises:
        KeyError: there is none.
    """
    if name.startswith("growth-"):
        _, what, value = name.split("-")
        return growing(what, int(value))
    if name.startswith("accuracy/"):
        return next(operation for operation in convolution_shapes() if operation.name == name)
    return _BY_NAME[name]
