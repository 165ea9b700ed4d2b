"""What is noted while a step is recorded: what its Python code has done, which replays do not run again.

A replay launches what the device has recorded and runs none of the step's Python code. So the recording notes, as that
code runs, what it depends on (arrays, flags, modules' parts) and what it leaves behind (changed tensors, gradients).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple


class Seen(NamedTuple):
    """A tensor from outside the step, as it was before the step: its array, and whether it required grad."""

    tensor: Any
    array: Any
    requires_grad: bool


class Gradient:
    """What a step does with one tensor's `.grad`.

    Attributes:
        tensor: whose gradient it is.
        before: the gradient at the step's beginning, a tensor or None.
        array_before: its array.
        is_read: whether the step looks at it before it sets another one.
        is_written: whether the step sets one.
    """

    __slots__ = ("array_before", "before", "is_read", "is_written", "tensor")

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self.before = tensor._grad
        self.array_before = None if self.before is None else self.before.data
        self.is_read = False
        self.is_written = False

    @property
    def is_left(self) -> bool:
        """Whether the step leaves another gradient than it found, or the same one with another array."""
        return self.is_written or (self.before is not None and self.before.data is not self.array_before)


class Recording:
    """A step while it is recorded.

    Args:
        owns: whether the memory of an array was allocated by the recording itself.
        aside: a context in which the device works at once and is not recorded.

    Attributes:
        before_replay: what the host does before each replay, in the order in which the step's code did it.
        seen: the tensors from outside that it uses.
        changes: how often it changes each piece of memory from outside in place, by the memory's version counter.
        gradients: what it does with gradients.
        entries: what it found in mappings: (mapping, name, value).
        sizes: how long it found collections to be.
        conditions: functions, and what they returned.
        kept: what must live as long as the recorded work.
    """

    def __init__(
        self,
        owns: Callable[[Any], bool] = lambda array: False,
        aside: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._owns = owns
        self._aside = aside
        self.before_replay: list[Callable[[], None]] = []
        self.seen: dict[int, Seen] = {}
        self.changes: dict[Any, int] = {}
        self.gradients: dict[int, Gradient] = {}
        self.entries: dict[tuple[int, str], tuple[Mapping[str, Any], str, Any]] = {}
        self.sizes: dict[int, tuple[Sized, int]] = {}
        self.conditions: list[tuple[Callable[[], Any], Any]] = []
        self.kept: list[Any] = []

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let the device work at once inside: replays do not repeat it."""
        token = current.set(None)
        try:
            with self._aside():
                yield
        finally:
            current.reset(token)

    def uses(self, tensor: Any) -> None:
        """Note that the step uses a tensor; called before the tensor's array or its flag is changed."""
        if id(tensor) not in self.seen and not tensor.is_step_input and not self._owns(tensor.data):
            self.seen[id(tensor)] = Seen(tensor, tensor.data, tensor._requires_grad)

    def changed(self, tensor: Any) -> None:
        """Note that the step has changed a tensor's memory in place."""
        if not self._owns(tensor.data):
            self.uses(tensor)
            self.changes[tensor.version] = self.changes.get(tensor.version, 0) + 1

    def reads_gradient(self, tensor: Any) -> None:
        """Note that the step asks for a tensor's gradient."""
        gradient = self._gradient_of(tensor)
        gradient.is_read |= not gradient.is_written

    def writes_gradient(self, tensor: Any) -> None:
        """Note that the step sets a tensor's gradient; called before it does."""
        self._gradient_of(tensor).is_written = True

    def _gradient_of(self, tensor: Any) -> Gradient:
        return self.gradients.setdefault(id(tensor), Gradient(tensor))

    def finds(self, mapping: Mapping[str, Any], *names: str) -> None:
        """Note what a mapping holds under these names, or (without names) under all it has, and how many they are."""
        if mapping and not names:
            self.counts(mapping)
        for name in names or mapping:
            self.entries.setdefault((id(mapping), name), (mapping, name, mapping[name]))

    def counts(self, collection: Sized) -> None:
        """Note how long a collection is."""
        self.sizes.setdefault(id(collection), (collection, len(collection)))

    def depends_on(self, condition: Callable[[], Any]) -> None:
        """Note what a function returns; the step would do something else if it returned anything else."""
        self.conditions.append((condition, condition()))

    def replaced(self) -> list[Any]:
        """Return the tensors from outside that the step has given another array."""
        return [seen.tensor for seen in self.seen.values() if seen.tensor.data is not seen.array]

    def undo(self) -> None:
        """Give tensors back the arrays and gradients they had: what was recorded, and never computed, is dropped."""
        for seen in self.seen.values():
            seen.tensor.data = seen.array
        for gradient in self.gradients.values():
            gradient.tensor._grad = gradient.before
            if gradient.before is not None:
                gradient.before.data = gradient.array_before


current: ContextVar[Recording | None] = ContextVar("tinygrad_bn.recording", default=None)
