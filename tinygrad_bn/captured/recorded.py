"""One recorded step: when it may be repeated, and repeating it."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from ..backend import Device, Recording
from ..tensor import Tensor
from .structure import with_tensors

Reference = weakref.ReferenceType[Tensor]


class _Seen(NamedTuple):
    """A tensor that the step uses, as it was when the step began."""

    tensor: Reference
    array: Any
    requires_grad: bool


class _GradientRead(NamedTuple):
    """A tensor whose gradient the step has found, and the array that it reads it from; None if there was none."""

    tensor: Reference
    array: Any


class _GradientLeft(NamedTuple):
    """A tensor that the step leaves a gradient to, or None, and the array that it writes it to."""

    tensor: Reference
    gradient: Tensor | None
    array: Any


class RecordedStep:
    """A step as a device has recorded it, with what its Python code did besides.

    Args:
        device: where it was recorded.
        inputs: the arrays that it reads its inputs from.
        outputs: what it returned, with the tensors that it writes its outputs to.
        notes: what was noted of its Python code; of no further use afterwards.
        graph: what `launch` does the device's work again.

    Attributes:
        inputs: as above.
        replays: how often it was repeated.
    """

    def __init__(self, device: Device, inputs: Sequence[Any], outputs: Any, notes: Recording, graph: Any) -> None:
        self.inputs = inputs
        self.replays = 0
        self._device = device
        self._outputs = outputs
        self._graph = graph
        self._kept = notes.kept
        self._before_replay = notes.before_replay
        self._changes = list(notes.changes.items())
        self._entries = list(notes.entries.values())
        self._sizes = list(notes.sizes.values())
        self._conditions = notes.conditions
        self._seen = [_Seen(weakref.ref(s.tensor), s.array, s.requires_grad) for s in notes.seen.values()]
        gradients = notes.gradients.values()
        self._read = [_GradientRead(weakref.ref(g.tensor), g.array_before) for g in gradients if g.is_read]
        self._left = [_left_to(g.tensor) for g in gradients if g.is_left]
        # What the step has made for itself dies with the notes. What somebody else holds can be met again.
        notes.seen.clear()
        notes.gradients.clear()
        self._seen = [entry for entry in self._seen if entry.tensor() is not None]
        self._read = [entry for entry in self._read if entry.tensor() is not None]
        self._left = [entry for entry in self._left if entry.tensor() is not None]

    def finds_the_same(self) -> bool:
        """Return whether tensors, modes and modules' parts are as they were when the step began to be recorded."""
        # Plain loops: this is looked at before each replay, and nothing else that Python has is faster.
        for reference, array, requires_grad in self._seen:
            tensor = reference()
            if tensor is None or tensor.data is not array or tensor._requires_grad is not requires_grad:
                return False
        for mapping, name, value in self._entries:
            if mapping.get(name) is not value:
                return False
        for collection, size in self._sizes:
            if len(collection) != size:
                return False
        return all(condition() == value for condition, value in self._conditions)

    def fits(self) -> bool:
        """Return whether the step would do now what was recorded; gradients that it reads may be others, not absent."""
        return self.finds_the_same() and all(
            (tensor := reference()) is not None and (tensor._grad is None) is (array is None)
            for reference, array in self._read
        )

    @property
    def is_outdated(self) -> bool:
        """Whether it can never fit again: a tensor that it uses is gone, or has got another array."""
        return any((tensor := entry.tensor()) is None or tensor.data is not entry.array for entry in self._seen)

    def situation(self) -> Hashable:
        """Return what `fits` looks at, as it is now."""
        return (
            *((tensor := entry.tensor()) is not None and tensor._requires_grad for entry in self._seen),
            *(id(mapping.get(name)) for mapping, name, _ in self._entries),
            *(len(collection) for collection, _ in self._sizes),
            *(repr(condition()) for condition, _ in self._conditions),
            *((tensor := entry.tensor()) is not None and tensor._grad is None for entry in self._read),
        )

    def replay(self, inputs: Iterable[Tensor]) -> Any:
        """Repeat the step, which must fit, with other inputs; return its outputs."""
        self._device.use()
        for array, given in zip(self.inputs, inputs, strict=True):
            array[...] = given.data
        for reference, array in self._read:
            tensor = reference()
            if tensor is not None and tensor._grad is not None and tensor._grad.data is not array:
                array[...] = tensor._grad.data
        for action in self._before_replay:
            action()
        outputs = self.launch()
        for version, times in self._changes:
            version.count += times
        for reference, gradient, array in self._left:
            tensor = reference()
            if tensor is not None:
                tensor._grad = gradient
            if gradient is not None:
                gradient.data = array  # somebody may have given it another one
        self.replays += 1
        return outputs

    def launch(self) -> Any:
        """Do the device's work and return the outputs, as tensors of their own."""
        self._graph.launch()
        return with_tensors(self._outputs, copied)


def copied(tensor: Tensor) -> Tensor:
    """Return the same values in memory of their own, outside of any graph."""
    result: Tensor = tensor.wrap(tensor.device.copy(tensor.data))
    return result


def _left_to(tensor: Tensor) -> _GradientLeft:
    """Return the gradient that a step leaves, once it has no graph behind it any more."""
    gradient: Tensor | None = tensor._grad
    if gradient is None:
        return _GradientLeft(weakref.ref(tensor), None, None)
    tensor._grad = gradient.detach()
    return _GradientLeft(weakref.ref(tensor), tensor._grad, gradient.data)
