"""Batch normalisation by hand: forward with its cache, backward from the cache, running averages; against the engine.

`forward` and `backward` are shown on the page as they stand here.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import functional as F
from ... import nn, ops, optim
from ...creation import tensor
from ...tensor import Tensor
from ..document import CaptionedTable, Code, Finding, Section, Text
from ..tables import Table
from .experiment import Measurement
from .moments import decimal, tiny

Array = np.ndarray[Any, Any]
EPS = 1e-5
QUANTITIES = ("output", "gradient of x", "gradient of gamma", "gradient of beta")
KERAS = "running mean, Keras' momentum"
#: Below this, two results in float64 are the same mathematics, rounded differently.
ROUNDING = 1e-12


class Cache(NamedTuple):
    """What the backward pass needs of the forward pass."""

    normalized: Array
    centered: Array
    std: Array
    gamma: Array


def forward(x: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Cache]:
    """Normalise each column of x (N, D), then scale and shift it."""
    centered = x - x.mean(axis=0)
    std = np.sqrt((centered**2).mean(axis=0) + eps)
    normalized = centered / std
    return gamma * normalized + beta, Cache(normalized, centered, std, gamma)


def backward(grad: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """From the gradient of the output to those of x, gamma and beta, step by step back through `forward`."""
    normalized, centered, std, gamma = cache
    grad_beta = grad.sum(axis=0)
    grad_gamma = (grad * normalized).sum(axis=0)
    grad_normalized = grad * gamma
    # Two ways lead back from normalized = centered / std: straight, and through the deviation.
    grad_std = -(grad_normalized * centered).sum(axis=0) / std**2
    grad_centered = grad_normalized / std + grad_std * centered / (std * len(grad))
    # And two from centered = x - mean: straight, and through the mean.
    grad_x = grad_centered - grad_centered.mean(axis=0)
    return grad_x, grad_gamma, grad_beta


def measure_by_hand(*, seed: int, rows: int, columns: int, batches: int) -> dict[str, Any]:
    """Compute everything by hand, with the engine's operation, and with the primitive operations it expands to.

    Returns:
        shape; differences: for each of `QUANTITIES` the largest one between by hand and the operation, by hand and
        its expansion; constants: the same for the gradient of x that takes the statistics for constants, relative to
        the largest entry of the true one; running: differences of running averages, of their Keras form, and of the
        output in evaluation; after a step of training: which of the layer's tensors have changed, and when.
    """
    random = np.random.default_rng(seed)
    x, grad = random.normal(3.0, 2.0, (rows, columns)), random.normal(size=(rows, columns))
    gamma, beta = random.normal(1.0, 0.2, columns), random.normal(0.0, 0.2, columns)
    output, cache = forward(x, gamma, beta, EPS)
    by_hand = (output, *backward(grad, cache))
    operation = ops.BatchNorm(EPS)
    others = {
        "operation": _by_engine((x, gamma, beta), grad, _batch_norm),
        "expansion": _by_engine((x, gamma, beta), grad, operation.expand),
    }
    straight = grad * gamma / cache.std
    return {
        "shape": [rows, columns],
        "differences": {name: _largest(by_hand, found) for name, found in others.items()},
        "constants": float(np.abs(straight - by_hand[1]).max() / np.abs(by_hand[1]).max()),
        "column_sums": [float(np.abs(grad_x.sum(axis=0)).max()) for grad_x in (straight, by_hand[1])],
        "running": _running(random, gamma, beta, rows, batches),
        "batches": batches,
        "tensors": _what_moves(columns),
    }


def _by_engine(values: Sequence[Array], grad: Array, operation: Any) -> tuple[Array, ...]:
    tensors = [tensor(value, requires_grad=True) for value in values]
    output = operation(*tensors)
    output.backward(grad)
    return (output.numpy(), *(t.grad.numpy() for t in tensors))


def _batch_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=EPS)


def _largest(first: Sequence[Array], second: Sequence[Array]) -> dict[str, float]:
    pairs = zip(QUANTITIES, first, second, strict=True)
    return {name: float(np.abs(a - b).max()) for name, a, b in pairs}


def _running(random: np.random.Generator, gamma: Array, beta: Array, rows: int, batches: int) -> dict[str, float]:
    """Running averages by hand over several batches, and evaluation with them, against the engine's."""
    columns = len(gamma)
    parameters = tensor(gamma), tensor(beta)
    running_mean, running_var = tensor(np.zeros(columns)), tensor(np.ones(columns))
    # The same to PyTorch, which weighs the new value, and to Keras, which weighs the old one.
    momentum, keras_momentum = 0.1, 0.9
    mean, variance, keras_mean = np.zeros(columns), np.ones(columns), np.zeros(columns)
    for _ in range(batches):
        batch = random.normal(3.0, 2.0, (rows, columns))
        F.batch_norm(tensor(batch), running_mean, running_var, *parameters, training=True, momentum=momentum)
        mean = (1.0 - momentum) * mean + momentum * batch.mean(axis=0)
        variance = (1.0 - momentum) * variance + momentum * batch.var(axis=0, ddof=1)
        keras_mean = keras_momentum * keras_mean + (1.0 - keras_momentum) * batch.mean(axis=0)
    x = random.normal(3.0, 2.0, (rows, columns))
    evaluated = F.batch_norm(tensor(x), running_mean, running_var, *parameters, training=False, eps=EPS).numpy()
    by_hand = gamma * (x - mean) / np.sqrt(variance + EPS) + beta
    return {
        "running mean": float(np.abs(running_mean.numpy() - mean).max()),
        "running variance": float(np.abs(running_var.numpy() - variance).max()),
        KERAS: float(np.abs(running_mean.numpy() - keras_mean).max()),
        "output in evaluation": float(np.abs(evaluated - by_hand).max()),
    }


def _what_moves(columns: int) -> list[dict[str, Any]]:
    """The tensors of a layer, and which of them a forward pass and a step of the optimiser change."""
    layer = nn.BatchNorm1d(columns)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    kinds: dict[str, tuple[str, Tensor]] = {name: ("parameter", p) for name, p in layer.named_parameters()}
    kinds |= {name: ("buffer", b) for name, b in layer.named_buffers()}

    def values() -> dict[str, Array]:
        return {name: kept.numpy().copy() for name, (_, kept) in kinds.items()}

    start = values()
    random = np.random.default_rng(0)
    output = layer(tensor(random.normal(3.0, 2.0, (8, columns)).astype(np.float32)))
    forward_done = values()
    (output * tensor(random.normal(size=(8, columns)).astype(np.float32))).sum().backward()
    optimizer.step()
    end = values()
    return [
        {
            "name": name,
            "kind": kind,
            "shape": list(kept.shape),
            "by_forward": bool((start[name] != forward_done[name]).any()),
            "by_optimizer": bool((forward_done[name] != end[name]).any()),
        }
        for name, (kind, kept) in kinds.items()
    ]


def present_by_hand(numbers: dict[str, Any]) -> Sequence[Section]:
    """Show the listing, the comparison, what is trained, and the conventions of others."""
    return (_listing(numbers), _statistics_section(numbers), _conventions(numbers))


def _listing(numbers: dict[str, Any]) -> Section:
    differences = numbers["differences"]
    rows = tuple((name, *(tiny(found[name]) for found in differences.values())) for name in QUANTITIES)
    largest = max(value for found in differences.values() for value in found.values())
    agree = "agree to rounding" if largest < ROUNDING else "do not agree"
    shape = " x ".join(map(str, numbers["shape"]))
    return Section(
        "by-hand",
        "By hand",
        (
            Text(
                "The tutorial writes the forward pass in NumPy and puts four things into a cache, but never uses it. "
                "Here is the same forward pass with the same cache, and the backward pass that the cache is for."
            ),
            Code("\n\n".join(inspect.getsource(shown) for shown in (forward, backward)).rstrip()),
            Text(
                f"The same on {shape} float64 values with this package: the operation batch_norm, which has a "
                "hand-made backward pass of its own, and its expansion into primitive operations (means, squares, a "
                "reciprocal root), through which the autograd engine finds the gradients by itself."
            ),
            CaptionedTable(
                "by-hand",
                "Largest absolute difference from the listing.",
                Table(("", "operation", "primitive operations"), rows, ()),
            ),
            Finding(f"The three {agree}: the largest difference is {tiny(largest)}."),
        ),
    )


def _statistics_section(numbers: dict[str, Any]) -> Section:
    rows = tuple(
        (row["name"], row["kind"], str(row["shape"]), *(_yes(row[key]) for key in ("by_forward", "by_optimizer")))
        for row in numbers["tensors"]
    )
    trained = [row["name"] for row in numbers["tensors"] if row["by_optimizer"]]
    moved = [row["name"] for row in numbers["tensors"] if row["by_forward"]]
    straight, true = numbers["column_sums"]
    return Section(
        "trained",
        "What is trained, and what is only computed",
        (
            Text(
                "The tutorial says that mean M, deviation S, factor F and shift B “are all trainable”. M and S are "
                "statistics: they are computed from the batch, anew each time, and no optimiser ever sees them. F "
                "and B are what others call gamma and beta (in this package, as in PyTorch, weight and bias; the "
                "tutorial's “Alpha and beta” must be these). The layer's tensors, and what changes them in one step "
                "of training:"
            ),
            CaptionedTable(
                "trained",
                "The tensors of a BatchNorm1d layer.",
                Table(("name", "kind", "shape", "changed by the forward pass", "by the optimiser"), rows, ()),
            ),
            Finding(
                f"The optimiser changes {_listed(trained)}; the forward pass changes {_listed(moved)}, which are "
                "running averages for evaluation and a counter."
            ),
            Text(
                "That the statistics are not trained does not make them constants. They depend on x, so that the "
                "gradient of x flows through them as well: those are the second ways in the listing."
            ),
            Finding(
                "A backward pass that takes mean and deviation for constants is wrong by up to "
                f"{numbers['constants']:.0%} of the largest entry of the gradient. It can be seen without a reference: "
                "shifting a whole column changes nothing, so that the true gradient sums to 0 over each column "
                f"(here {tiny(true)} at most), and the wrong one does not ({tiny(straight)})."
            ),
        ),
    )


def _conventions(numbers: dict[str, Any]) -> Section:
    running = numbers["running"]
    largest = max(running.values())
    agree = "agree with the operation to rounding" if largest < ROUNDING else "do not agree with the operation"
    return Section(
        "conventions",
        "Evaluation, and who means what by momentum",
        (
            Text(
                "With one image there is no batch to take statistics from, and predictions should not depend on what "
                "else is in the batch. So a layer keeps running averages while it trains and uses them in evaluation. "
                "The tutorial leaves that out. This package follows PyTorch: running = (1 − momentum) · running + "
                "momentum · batch, with the unbiased variance, although the batch is normalised with the biased one. "
                "Others differ, and a layer taken over from one into another must be translated:"
            ),
            CaptionedTable(
                "conventions", "BatchNorm elsewhere, by default.", Table(CONVENTIONS_HEADING, CONVENTIONS, ())
            ),
            CaptionedTable(
                "running",
                f"Largest absolute difference of averages by hand from the operation's, after {numbers['batches']} "
                "batches.",
                Table(("", "difference"), tuple((name, tiny(value)) for name, value in running.items()), ()),
            ),
            Finding(
                f"Running averages and evaluation by hand {agree} ({tiny(largest)}). Keras' momentum m is PyTorch's 1 "
                f"− m: with {decimal(0.9, 1)} in the one and {decimal(0.1, 1)} in the other the averages of the mean "
                f"are {'the same' if running[KERAS] < ROUNDING else 'not the same'}."
            ),
        ),
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "nothing"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


CONVENTIONS_HEADING = ("", "momentum", "eps", "normalises with", "stores")
CONVENTIONS = (
    ("PyTorch, this package", "0.1: .9 old + .1 batch", "1e-5", "biased variance", "unbiased variance"),
    ("Keras 3", "0.99: .99 old + .01 batch", "1e-3", "biased variance", "biased variance"),
    ("ONNX 15, training", "0.9: .9 old + .1 batch", "1e-5", "biased variance", "biased variance"),
)

BY_HAND = Measurement(
    name="by-hand",
    heading="Batch norm by hand",
    measure=measure_by_hand,
    present=present_by_hand,
    parameters={"seed": 0, "rows": 32, "columns": 5, "batches": 20},
)
