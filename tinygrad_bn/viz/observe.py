"""Watching a computation: the arrays of its operations, the gradients that flow back, time, and checked derivatives."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import Leaf, Node, apply, edge_of, grad
from ..backend import Device
from ..dtypes import is_floating
from ..errors import TinygradBNError
from ..kernels import kernels_of
from ..tensor import Tensor
from ..testing import GradientCheckError, check_grad
from .docking import STORED
from .facts import facts_of
from .observation import Observation
from .operations import role_of
from .records import Role

Source = Node | Leaf

TIMINGS = 3
"""An operation is timed so many times; the fastest counts."""

LARGEST_CHECK = 50_000_000
"""Floating-point operations of a forward computation beyond which a derivative is checked on part of the batch."""

_BATCHED = (Role.WEIGHT, Role.NORM, Role.ACTIVATION, Role.POOL)
"""Operations whose first input is a batch, of which a part will do."""


class Observer:
    """Keeps what is needed for the observations of a graph that is being computed.

    `watch` is for `trace`; afterwards `run_backward` sends gradients through the graph, and `observe` sums up.

    Args:
        checks: also time each operation, and check its derivative.
    """

    def __init__(self, checks: bool = True) -> None:
        self._checks = checks
        self._inputs: dict[Source, list[Any]] = {}
        self._values: dict[Source, tuple[Any, Device]] = {}
        self._gradients: dict[Source, Any] = {}

    def watch(self, result: Tensor, arrays: list[Any]) -> None:
        """Keep an operation's arrays, and its output's gradient when that arrives."""
        node = edge_of(result)
        assert isinstance(node, Node)
        self._inputs[node] = arrays
        self._values[node] = result.data, result.device
        for edge, array in zip(node.edges, arrays, strict=True):
            if isinstance(edge, Leaf):
                self._values[edge] = array, node.device
        if result.requires_grad:
            result.register_hook(self._keeper(node))

    def run_backward(self, results: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
        """Send gradients back from some results; no `.grad` changes, no hook of a parameter is called."""
        leaves = {
            edge: edge.tensor
            for node in self._inputs
            if isinstance(node, Node)
            for edge in node.edges
            if isinstance(edge, Leaf) and edge.tensor is not None
        }
        if not leaves:
            return
        with _without_hooks(leaves.values()):
            found = grad(list(results), list(leaves.values()), list(gradients), retain_graph=True, allow_unused=True)
        self._gradients.update((leaf, g.data) for leaf, g in zip(leaves, found, strict=True) if g is not None)

    def gradient_of(self, source: Source) -> Any | None:
        """Return the array of the gradient that has arrived at something, if one has."""
        return self._gradients.get(source)

    def value_of(self, source: Source) -> Any | None:
        """Return the array that something is, if it was seen."""
        value, _ = self._values.get(source, (None, None))
        return value

    def observe(self, source: Source, role: Role) -> Observation | None:
        """Sum up what was seen of an operation's output, or of a leaf; None for what was not seen."""
        if source not in self._values:
            return None
        value, device = self._values[source]
        axis = _channel_axis(role, len(source.shape))
        gradient = self._gradients.get(source)
        return Observation(
            facts_of(device.to_host(value), axis),
            None if gradient is None else facts_of(device.to_host(gradient), axis),
            _seconds(source, self._inputs[source]) if self._checks and isinstance(source, Node) else None,
            _gradient_error(source, self._inputs[source]) if self._checks and isinstance(source, Node) else None,
        )

    def _keeper(self, node: Node) -> Callable[[Tensor], None]:
        def keep(gradient: Tensor) -> None:
            self._gradients[node] = gradient.data

        return keep


def _channel_axis(role: Role, axes: int) -> int | None:
    """Return which axis counts channels: the first of a parameter, the second of a batch of anything."""
    if role in STORED:
        return 0 if axes else None
    return 1 if axes > 1 else None


@contextmanager
def _without_hooks(tensors: Iterable[Tensor]) -> Iterator[None]:
    hooks = [(tensor, tensor._hooks) for tensor in tensors]
    for tensor, _ in hooks:
        tensor._hooks = None
    try:
        yield
    finally:
        for tensor, found in hooks:
            tensor._hooks = found


def _seconds(node: Node, arrays: Sequence[Any]) -> float:
    kernels, best = kernels_of(node.device), np.inf
    for _ in range(TIMINGS):
        op = copy.copy(node.op)  # what the recorded one has kept stays with it
        started = time.perf_counter()
        with np.errstate(all="ignore"):
            op.forward(kernels, *arrays)
        best = min(best, time.perf_counter() - started)
    return float(best)


def _gradient_error(node: Node, arrays: Sequence[Any]) -> float | None:
    """Return the largest relative error of an operation's derivative in float64, at the values that were seen."""
    if not node.needs_grad:
        return None
    if role_of(node.op) in _BATCHED and node.op.flops([np.shape(a) for a in arrays], node.shape) > LARGEST_CHECK:
        arrays = [arrays[0][:2], *arrays[1:]]
    inputs = [_as_float64(array, node, needed) for array, needed in zip(arrays, node.op.needs, strict=True)]
    tensors = [value for value in inputs if isinstance(value, Tensor)]

    def function(*given: Tensor) -> Tensor:
        rest = iter(given)
        op = copy.copy(node.op)
        result: Tensor = apply(op, *(next(rest) if isinstance(value, Tensor) else value for value in inputs))
        return result

    for tolerance in (1e-6, np.inf):
        try:
            return check_grad(function, tensors, directions=1, tolerance=tolerance).largest_error
        except GradientCheckError:
            continue  # with any error allowed, the check says how large it is
        except (TinygradBNError, ValueError):
            return None  # an operation that cannot be computed in float64
    return None


def _as_float64(array: Any, node: Node, needed: bool) -> Any:
    if not hasattr(array, "dtype"):
        return array
    if not is_floating(array.dtype):
        return Tensor(array, device=node.device)
    return Tensor(array.astype("float64"), device=node.device, requires_grad=needed)
