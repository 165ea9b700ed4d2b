"""What is compared with PyTorch on a GPU, the most important first, with the bars that the project has set itself."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from .. import networks
from .. import workloads as everywhere
from ..layers import parameter_shapes
from ..workloads import Chain, Network, Operation, Update, Workload

BATCH = 128

PRECISIONS = {"tf32": "TF32", "float32": "float32", "bfloat16": "bfloat16"}
"""How products of float32 factors are computed, on both sides; the words are those of the tables."""

TOLERANCE = {"float32": 1e-2, "tf32": 0.05, "bfloat16": 0.15}
"""How far results may be from ours to count as the same work (`timing.deviation`).

Losses are compared on the scale of what ten small steps change, of which coarser factors change a part, too. On the CPU
PyTorch differs from ours, both in bfloat16, by 0.002 (VGG11), 0.014 (SmallCNN and ResNet20) and 0.021 (MobileNet).
"""

CAPTURED = "ours-captured"
EAGER = ("torch-eager", "torch-channels-last")
COMPILED = ("torch-compile", "torch-compile-channels-last")
REPLAYED = ("torch-graph", "torch-graph-channels-last")

BEST = {"eager": EAGER, "compile": COMPILED, "graph": REPLAYED}
"""PyTorch's two memory layouts, of which the better one counts.

"eager": called one by one. "compile": `torch.compile(mode="reduce-overhead")`, which uses CUDA graphs. "graph": the
calls of "eager" as one CUDA graph, which shows what their kernels take without Python.
"""

IMAGES = (BATCH, 64, 32, 32)

SETS = 8
"""Sets of inputs that take turns where memory is what counts; with IMAGES, 270 MB of each: more than caches hold."""

NORM_BAR = 0.5
"""BatchNorm and an activation in float32: our time over that of PyTorch's better layout, called one by one."""

BANDWIDTH_BAR = 0.7
"""Likewise: the share of the card's copy bandwidth at which bytes are moved."""

_BASE = {network.name: network for network in everywhere.NETWORKS}
_SMALL = {"eager": 0.4, "compile": 0.8}
_VGG = {"eager": 0.8, "compile": 1.0}
_DEEP = {"eager": 0.6, "compile": 1.0}


def _network(name: str, precision: str, bars: dict[str, float]) -> Network:
    base = _BASE[name]
    return dataclasses.replace(
        base,
        name=f"{name}-{precision}",
        title=f"{base.title}, {PRECISIONS[precision]}",
        batch=BATCH,
        precision=precision,
        peers=(CAPTURED, *EAGER, *COMPILED),
        bars=bars,
    )


NETWORKS: tuple[Network, ...] = (
    _network("small-cnn-28-convention-relu", "tf32", _SMALL),
    _network("vgg16", "tf32", _VGG),
    _network("vgg11", "tf32", _VGG),
    _network("resnet20", "tf32", _DEEP),
    _network("mobilenet", "tf32", _DEEP),
    _network("vgg16", "bfloat16", _VGG),
    _network("vgg11", "bfloat16", _VGG),
    _network("vgg16", "float32", _VGG),
    _network("vgg11", "float32", _VGG),
    _network("small-cnn-28-convention-relu", "bfloat16", {}),
    _network("resnet20", "bfloat16", {}),
    _network("mobilenet", "bfloat16", {}),
    _network("small-cnn-28-convention-relu", "float32", {}),
    _network("resnet20", "float32", {}),
    _network("mobilenet", "float32", {}),
    _network("small-cnn-28-swap-tanh", "tf32", {}),
)
"""Training steps."""


def _norm_act(order: str, activation: str, precision: str, shape: tuple[int, ...] = IMAGES) -> Operation:
    pair = ("batch_norm", activation) if order == "convention" else (activation, "batch_norm")
    return Operation(
        f"{'-'.join(pair)}-{precision}",
        f"{', '.join(pair)}, {PRECISIONS[precision]}",
        "norm_act" if order == "convention" else "act_norm",
        {"input": shape, "weight": shape[1:2], "bias": shape[1:2]},
        shape,
        {"activation": activation},
        peers=(CAPTURED, *EAGER, *REPLAYED),
        precision=precision,
        sets=SETS,
    )


NORMS: tuple[Operation, ...] = (
    _norm_act("convention", "relu", "float32"),
    _norm_act("swap", "tanh", "float32"),
    _norm_act("convention", "tanh", "float32"),
    _norm_act("swap", "relu", "float32"),
    _norm_act("convention", "relu", "bfloat16"),
    _norm_act("swap", "tanh", "bfloat16"),
)
"""BatchNorm and an activation alone, forward and backward."""


def bytes_of(norm: Operation) -> tuple[int, int]:
    """Return the bytes that forward and backward pass of one of NORMS move at least, and those that they usually move.

    At least: forward reads x and writes y; backward reads x and the gradient of y, and writes that of x: 5 tensors.
    Usually: a channel's statistics are known when all of x was read, and the sums of the backward pass when all of x
    and the gradient were; what does not fit into the chip meanwhile is read again: 3 + 5 = 8 tensors.
    """
    tensor = math.prod(norm.output) * (2 if norm.precision == "bfloat16" else 4)
    return 5 * tensor, 8 * tensor


def _operation(
    name: str, inputs: dict[str, tuple[int, ...]], output: tuple[int, ...], precision: str = "float32", **settings: Any
) -> Operation:
    operation, _, _ = name.partition(" ")
    return Operation(
        f"{name}-{precision}",
        f"{name}, {PRECISIONS[precision]}",
        operation,
        inputs,
        output,
        settings,
        peers=(CAPTURED, *EAGER, *REPLAYED),
        precision=precision,
        sets=SETS,
    )


def _convolution(inputs: int, outputs: int, side: int, kernel: int, precision: str, groups: int = 1) -> Operation:
    name = f"conv2d {kernel}x{kernel} {inputs}-{outputs} {side}x{side}" + (" depthwise" if groups > 1 else "")
    arrays = {
        "input": (BATCH, inputs, side, side),
        "weight": (outputs, inputs // groups, kernel, kernel),
        "bias": (outputs,),
    }
    return _operation(name, arrays, (BATCH, outputs, side, side), precision, padding=kernel // 2, groups=groups)


_MOBILENET = tuple(parameter_shapes(networks.mobilenet()))

SINGLE: tuple[Workload, ...] = (
    Update(
        "update-sgd",
        f"SGD with momentum, {len(_MOBILENET)} arrays of MobileNet",
        "sgd",
        _MOBILENET,
        (CAPTURED, "torch-eager"),
    ),
    Update(
        "update-adam", f"Adam, {len(_MOBILENET)} arrays of MobileNet", "adam", _MOBILENET, (CAPTURED, "torch-eager")
    ),
    _convolution(64, 64, 32, 3, "tf32"),
    _convolution(3, 64, 32, 3, "tf32"),
    _convolution(512, 512, 4, 3, "tf32"),
    _convolution(256, 256, 8, 1, "tf32"),
    _convolution(128, 128, 16, 3, "tf32", groups=128),
    _operation("max_pool2d 2x2", {"input": IMAGES}, (BATCH, 64, 16, 16)),
    _operation("avg_pool2d 2x2", {"input": IMAGES}, (BATCH, 64, 16, 16)),
    _operation("cross_entropy 128x10", {"input": (BATCH, 10)}, ()),
    _operation("cross_entropy 4096x1000", {"input": (4096, 1000)}, ()),
    _operation(
        "linear 3136-128", {"input": (BATCH, 3136), "weight": (128, 3136), "bias": (128,)}, (BATCH, 128), "tf32"
    ),
    _operation("tanh", {"input": IMAGES}, IMAGES),
    Chain("graph", "graph of 1000 nodes on two numbers", 1000, ("torch-eager",)),
    _convolution(64, 64, 32, 3, "float32"),
    _convolution(64, 64, 32, 3, "bfloat16"),
)
"""Single operations, forward and backward, and updates of optimisers; there are no bars."""

REHEARSED: tuple[Workload, ...] = (
    *(
        dataclasses.replace(
            everywhere.TINY,
            name=f"tiny-{precision}",
            title=f"{everywhere.TINY.title}, {PRECISIONS[precision]}",
            batch=8,
            precision=precision,
            peers=(CAPTURED, *EAGER, *COMPILED),
            bars=_SMALL,
        )
        for precision in ("tf32", "bfloat16")
    ),
    dataclasses.replace(_norm_act("convention", "relu", "float32", (4, 8, 6, 6)), name="tiny-norm", sets=2),
    Update("tiny-update", "SGD with momentum, two small arrays", "sgd", ((3, 4), (5,)), (CAPTURED, "torch-eager")),
    Chain("tiny-graph", "graph of 20 nodes", 20, ("torch-eager",)),
)
"""What a rehearsal without a GPU goes through; its times mean nothing."""

_BY_NAME: dict[str, Workload] = {workload.name: workload for workload in (*NETWORKS, *NORMS, *SINGLE, *REHEARSED)}


def find(name: str) -> Workload:
    """Return the workload of that name.

    Raises:
        KeyError: there is none.
    """
    return _BY_NAME[name]


def tolerance_of(workload: Workload) -> float:
    """Return how far results may be from ours to count as the same work."""
    return TOLERANCE[workload.precision] if isinstance(workload, Network | Operation) else TOLERANCE["float32"]
