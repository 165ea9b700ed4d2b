"""Our own kernels: are they right, and how near the card's memory do they come."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import functional as F

from ..place import Array, Place, error_of
from . import Found, Item
from .speed import copying

ERROR = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 3e-3}
"""The largest relative error (norm) that counts as right, by the dtype of the arrays."""

_SETS = 4

Function = Callable[..., tg.Tensor]


def _norm_act(order: str, activation: str) -> Function:
    def function(x: tg.Tensor, weight: tg.Tensor, bias: tg.Tensor) -> tg.Tensor:
        return F.norm_act(x, None, None, weight, bias, training=True, order=order, activation=activation)

    return function


def _check(place: Place, function: Function, arrays: Sequence[Array], dtype: str, passes: int) -> dict[str, Any]:
    """Return how far a function of tensors and its backward pass are from float64 on the CPU, and how fast.

    Args:
        place: where.
        function: of one tensor per array; the first one has images or rows.
        arrays: its inputs.
        dtype: of the arrays there.
        passes: how many tensors of the first one's size both passes must read or write; what they do reach of the copy
            bandwidth is told from that.
    """
    rounded = [place.tensor(array, dtype) for array in arrays]
    exact = [tg.tensor(t.numpy().astype("float64"), device="cpu", requires_grad=True) for t in rounded]
    output = function(*exact)
    start = np.random.default_rng(1).normal(size=output.shape)
    output.backward(start)
    sets = [[place.tensor(np.roll(a, turn, 0), dtype).requires_grad_() for a in arrays] for turn in range(_SETS)]
    gradient = place.tensor(start, str(rounded[0].dtype))

    def both(inputs: Sequence[tg.Tensor]) -> tg.Tensor:
        for tensor in inputs:
            tensor.grad = None
        result = function(*inputs)
        result.backward(gradient)
        return result

    found = both(sets[0])
    errors = {"output": error_of(found.numpy(), output.numpy())}
    for number, (ours, reference) in enumerate(zip(sets[0], exact, strict=True)):
        errors[f"gradient {number}"] = error_of(ours.grad.numpy(), reference.grad.numpy())
    seconds = place.replayed_seconds([partial(both, inputs) for inputs in sets])
    size = math.prod(arrays[0].shape) * rounded[0].dtype.itemsize
    return {"errors": errors, "seconds": seconds, "bytes_per_second": passes * size / seconds}


def _images(place: Place) -> tuple[int, int, int, int]:
    return (4, 8, 6, 6) if place.small else (128, 64, 32, 32)


def norms(place: Place) -> Found:
    """BatchNorm with an activation, in both orders; forward and backward move 3 and 5 tensors, `workloads.bytes_of`."""
    random = np.random.default_rng(0)
    shape = _images(place)
    channels = shape[1]
    arrays = random.normal(0.3, 1.5, shape), random.uniform(0.5, 1.5, channels), random.normal(0.0, 0.2, channels)
    cases = {
        f"{order} {activation}, {dtype}": (_norm_act(order, activation), arrays, dtype, 8)
        for dtype in ("float32", "bfloat16", "float16")
        for order in ("convention", "swap")
        for activation in ("relu", "tanh")
    }
    return _all(place, cases)


def others(place: Place) -> Found:
    """Pooling, activations, losses: each forward and backward, with the tensors that it must move."""
    random = np.random.default_rng(0)
    images = random.normal(size=_images(place))
    rows = random.normal(size=(64, 10) if place.small else (4096, 1000))
    labels = random.integers(0, rows.shape[1], len(rows))
    targets = {tg.get_device(name): tg.tensor(labels, device=name) for name in ("cpu", place.ours)}

    def loss(x: tg.Tensor) -> tg.Tensor:
        return F.cross_entropy(x, targets[x.device])

    cases: dict[str, Any] = {}
    for dtype in ("float32", "bfloat16"):
        cases |= {
            f"max_pool2d 2x2, {dtype}": (partial(F.max_pool2d, kernel_size=2), [images], dtype, 2),
            f"avg_pool2d 2x2, {dtype}": (partial(F.avg_pool2d, kernel_size=2), [images], dtype, 2),
            f"adaptive_avg_pool2d 1, {dtype}": (partial(F.adaptive_avg_pool2d, output_size=1), [images], dtype, 2),
            f"gelu, {dtype}": (F.gelu, [images], dtype, 5),
            f"softmax, {dtype}": (partial(F.softmax, dim=1), [rows], dtype, 5),
            f"cross_entropy, {dtype}": (loss, [rows], dtype, 3),
        }
    return _all(place, cases)


def _all(place: Place, cases: dict[str, Any]) -> Found:
    """Check function after function; one that fails does not stop the others."""
    bandwidth = copying(place).data["bytes_per_second"]
    rows: list[dict[str, Any]] = []
    failures, wrong = [], []
    for name, (function, arrays, dtype, passes) in cases.items():
        try:
            row = _check(place, function, arrays, dtype, passes)
        except Exception as error:  # noqa: BLE001 - one that fails is a finding among others
            failures.append(f"{name}: {type(error).__name__}: {error}")
            continue
        row |= {"case": name, "error": max(row["errors"].values()), "share": row["bytes_per_second"] / bandwidth}
        rows.append(row)
        if not row["error"] <= ERROR[dtype]:
            wrong.append(f"{name} is off by {row['error']:.0e}")
    shares = [row["share"] for row in rows] or [float("nan")]
    line = f"{len(rows)} right, at {min(shares):.0%} to {max(shares):.0%} of the copy bandwidth"
    if wrong or failures:
        line = "; ".join([*wrong, *failures])
    return Found(line, {"rows": rows, "failures": failures}, not (wrong or failures))


def updates(place: Place) -> Found:
    """Ten steps of each optimiser over many arrays, against float64 on the CPU."""
    random = np.random.default_rng(0)
    shapes = [(3, 5), (7,), (2, 3, 3, 3)] * (2 if place.small else 40)
    start = [random.normal(size=shape) for shape in shapes]
    gradients = [random.normal(size=shape) for shape in shapes]
    made: dict[str, Callable[[list[tg.Tensor]], Any]] = {
        "SGD": lambda parameters: tg.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3),
        "Adam": lambda parameters: tg.optim.Adam(parameters, lr=0.1),
        "AdamW": lambda parameters: tg.optim.AdamW(parameters, lr=0.1, weight_decay=0.1),
    }
    errors, seconds = {}, {}
    for name, make in made.items():
        results = []
        for device, dtype in (("cpu", "float64"), (place.ours, "float32")):
            parameters = [tg.tensor(a, dtype=dtype, device=device, requires_grad=True) for a in start]
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = tg.tensor(gradient, dtype=dtype, device=device)
            optimizer = make(parameters)
            for _ in range(10):
                optimizer.step()
            results.append(np.concatenate([parameter.numpy().ravel() for parameter in parameters]))
        errors[name] = error_of(results[1], results[0])
        seconds[name] = place.seconds([optimizer.step])
    line = ", ".join(f"{name} off by {errors[name]:.0e}, {seconds[name] * 1e6:.0f} µs" for name in made)
    line = f"{len(shapes)} arrays: {line}"
    return Found(line, {"errors": errors, "seconds": seconds}, max(errors.values()) < ERROR["float32"])


ITEMS = (
    Item("norms", "BatchNorm with an activation", norms, 30.0),
    Item("kernels", "pooling, activations, losses", others, 30.0),
    Item("updates", "optimisers", updates),
)
