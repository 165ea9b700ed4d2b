"""Convolutions: are they right, how precise, which of cuDNN's engines compute them, how fast beside PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn.kernels import Kernels
from tinygrad_bn.kernels.cuda.cudnn_graphs import FORWARD, INPUT_GRAD, WEIGHT_GRAD

from ... import networks
from ...layers import Conv, convolutions
from ..place import Array, Place, error_of, set_precision
from . import Found, Item

DIRECTIONS = {"forward": FORWARD, "input gradient": INPUT_GRAD, "weight gradient": WEIGHT_GRAD}

PRECISIONS = {"float32": "float32", "tf32": "float32", "bfloat16": "bfloat16", "float16": "float16"}
"""By name, the dtype of the arrays."""

ERROR = {"float32": 1e-5, "tf32": 1e-3, "bfloat16": 1e-2, "float16": 2e-3}
"""The largest relative error (norm) of a convolution that counts as right: some units in its factors' last place."""

_MAIN = ((64, 64, 32), (3, 64, 32), (512, 512, 4), (1, 32, 28))
"""Input channels, output channels, side of the 3x3 convolutions that are looked at first."""


def small(place: Place) -> Found:
    """Hold one convolution and its gradients against the definition, in NumPy."""
    random = np.random.default_rng(0)
    shapes = (2, 3, 9, 8), (5, 3, 3, 3), (2, 5, 9, 8)
    x, weight, gradient = (random.normal(size=shape) for shape in shapes)
    exact = _results(Kernels(tg.get_device("cpu")), (x, weight, gradient), Conv(3, 5))
    set_precision("float32")
    arrays = tuple(place.tensor(array, "float32").data for array in (x, weight, gradient))
    found = _results(place.kernels, arrays, Conv(3, 5))
    to_host = tg.get_device(place.ours).to_host
    errors = {name: error_of(to_host(found[name]), exact[name]) for name in DIRECTIONS}
    line = ", ".join(f"{name} off by {error:.0e}" for name, error in errors.items())
    return Found(line, {"errors": errors}, max(errors.values()) < ERROR["float32"])


def shapes() -> dict[str, tuple[Conv, int]]:
    """Return each convolution of the networks, once, and the side of its images; those that matter most first."""
    layers = networks.vgg(16) + networks.vgg(11), networks.resnet20(), networks.mobilenet()
    found: dict[tuple[Conv, int], None] = dict.fromkeys((Conv(*key[:2]), key[2]) for key in _MAIN)
    for conv, side in convolutions(networks.small_cnn(), 28):
        found.setdefault((conv, side))
    for network in layers:
        for conv, side in convolutions(network, 32):
            found.setdefault((conv, side))
    return {_title(conv, side): (conv, side) for conv, side in found}


def _title(conv: Conv, side: int) -> str:
    kind = "depthwise " if conv.groups > 1 else ""
    stride = f" stride {conv.stride}" if conv.stride > 1 else ""
    return f"{kind}{conv.kernel}x{conv.kernel} {conv.inputs}-{conv.outputs} {side}x{side}{stride}"


def _results(kernels: Kernels, arrays: tuple[Any, Any, Any], conv: Conv) -> dict[str, Any]:
    return {name: call() for name, call in _calls(kernels, arrays, conv).items()}


def _calls(kernels: Kernels, arrays: tuple[Any, Any, Any], conv: Conv) -> dict[str, Callable[[], Any]]:
    x, weight, gradient = arrays
    window = (conv.stride,) * 2, ((conv.padding,) * 2,) * 2, (1, 1), conv.groups
    return {
        "forward": lambda: kernels.conv2d(x, weight, None, *window),
        "input gradient": lambda: kernels.conv2d_input_grad(gradient, weight, x.shape[2:], *window),
        "weight gradient": lambda: kernels.conv2d_weight_grad(x, gradient, weight.shape[2:], *window),
    }


def _their_calls(arrays: tuple[Any, Any, Any], conv: Conv) -> dict[str, Callable[[], Any]]:
    import torch

    x, weight, gradient = arrays
    window = [conv.stride] * 2, [conv.padding] * 2, [1, 1], False, [0, 0], conv.groups
    backward = partial(torch.ops.aten.convolution_backward, gradient, x, weight, None, *window)
    return {
        "forward": lambda: torch.convolution(x, weight, None, *window),
        "input gradient": lambda: backward([True, False, False])[0],
        "weight gradient": lambda: backward([False, True, False])[1],
    }


def _compare(place: Place, precision: str, conv: Conv, side: int) -> list[dict[str, Any]]:
    """Return a row for each direction: error against float64, both times in seconds, and our engine."""
    import torch

    set_precision(precision)
    torch.backends.cudnn.benchmark = True
    tg.set_cudnn_benchmark(True)
    random = np.random.default_rng(0)
    out = -(-side // conv.stride)
    weight_shape = (conv.outputs, conv.inputs // conv.groups, conv.kernel, conv.kernel)
    host: tuple[Array, Array, Array] = (
        random.normal(size=(place.batch, conv.inputs, side, side)).astype(np.float32),
        (random.normal(size=weight_shape) / np.prod(weight_shape[1:]) ** 0.5).astype(np.float32),
        random.normal(size=(place.batch, conv.outputs, out, out)).astype(np.float32),
    )
    dtype = PRECISIONS[precision]
    ours = [place.tensor(array, dtype) for array in host]
    theirs = [place.torch_tensor(array, dtype) for array in host]
    # What is left of the factors in this dtype is what is multiplied, so rounding them is no error.
    wide = tuple(tensor.double() for tensor in theirs)
    exact = _their_calls(wide, conv)
    calls = _calls(place.kernels, (ours[0].data, ours[1].data, ours[2].data), conv)
    their_calls = _their_calls((theirs[0], theirs[1], theirs[2]), conv)
    to_host = tg.get_device(place.ours).to_host
    rows = []
    for name, call in calls.items():
        truth = exact[name]().cpu().numpy()
        rows.append(
            {
                "convolution": _title(conv, side),
                "direction": name,
                "error": error_of(to_host(call()), truth),
                "their_error": error_of(their_calls[name]().float().cpu().numpy(), truth),
                "ours": place.replayed_seconds([call]),
                "theirs": place.torch_replayed_seconds([their_calls[name]]),
                "engine": _engine(place.kernels, DIRECTIONS[name], precision, host),
            }
        )
    return rows


def _engine(kernels: Kernels, kind: str, precision: str, host: tuple[Array, Array, Array]) -> str:
    """Return the name of cuDNN's plan, if it is one that computes this."""
    plans = getattr(kernels, "plans", None)
    wanted = (kind, PRECISIONS[precision], precision == "float32", *(array.shape for array in host))
    for found, name in plans.names().items() if plans is not None else ():
        if (found.kind, found.dtype, found.strict, found.input, found.weight, found.output) == wanted:
            return str(name)
    return "no plan of cuDNN's"


def precise(place: Place, precision: str, main: bool) -> Found:
    """Compare all convolutions in one precision, or the main ones alone."""
    chosen = list(shapes().values())
    chosen = chosen[: len(_MAIN)] if main else chosen[len(_MAIN) :]
    rows: list[dict[str, Any]] = []
    failures = []
    for conv, side in chosen[:2] if place.small else chosen:
        try:
            rows += _compare(place, precision, conv, min(side, 6) if place.small else side)
        except Exception as error:  # noqa: BLE001 - one shape that fails is a finding among others
            failures.append(f"{_title(conv, side)}: {type(error).__name__}: {error}")
    worst = max((row["error"] for row in rows), default=float("nan"))
    slower = sum(row["ours"] > row["theirs"] for row in rows)
    line = f"{len(rows)} computed, off by {worst:.0e} at most; {slower} of them slower than PyTorch's"
    line += f"; {len(failures)} failed" if failures else ""
    passed = not failures and worst <= ERROR[precision]
    return Found(line, {"rows": rows, "failures": failures}, passed)


def _items() -> list[Item]:
    items = [Item("conv", "one convolution against NumPy", small, 10.0)]
    for main in (True, False):
        which = "main convolutions" if main else "all other convolutions"
        for precision in PRECISIONS:
            find = partial(precise, precision=precision, main=main)
            name = f"conv-{precision}" + ("" if main else "-all")
            priority = 5 if not main or precision == "float16" else 3 if precision == "bfloat16" else 2
            items.append(Item(name, f"{which}, {precision}", find, 30.0 if main else 200.0, priority))
    return items


ITEMS = tuple(_items())
