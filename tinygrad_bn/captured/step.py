"""`capture`: a training step that a device records once and repeats from then on."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, overload

import numpy as np

from ..autograd import InputVersion
from ..autograd.modes import trace_mode
from ..backend import Device
from ..backend.capturing import captured_step, is_inside, modes
from ..checks import as_index
from ..errors import CaptureError, DeviceError, DTypeError, explain
from ..tensor import Tensor
from .recorded import RecordedStep, copied
from .structure import check_outputs, layout_of, with_tensors

P = ParamSpec("P")
R = TypeVar("R")

MOST_GRAPHS = 8
"""Recordings that one captured step keeps; each holds the memory of a whole step."""

_MOST_SITUATIONS = 64


class GraphInfo(NamedTuple):
    """A recording that is kept.

    Attributes:
        inputs: shape and dtype of each tensor among the arguments.
        replays: how often it was repeated.
    """

    inputs: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]
    replays: int


@overload
def capture(step: Callable[P, R], *, warmup: int = 3) -> CapturedStep[P, R]: ...


@overload
def capture(step: None = None, *, warmup: int = 3) -> Callable[[Callable[P, R]], CapturedStep[P, R]]: ...


def capture(step: Callable[P, R] | None = None, *, warmup: int = 3) -> Any:
    """Return a function that does what a training step does, on a GPU as one CUDA graph that is recorded and repeated.

    A GPU works faster than Python can tell it what to do. A graph is told once: afterwards a call copies its tensors to
    where the recorded work reads them, and launches it. On the CPU a call is a plain call, with the same rules, so that
    what runs there runs on a GPU, too. Results are those of the plain step, bit for bit.

    The first calls run as they are: a GPU's code is compiled and tuned, optimisers make their state. The next one is
    recorded. So is, separately, each other shape, dtype, structure or value of arguments: the smaller last batch of an
    epoch is a step of its own. At most 8 recordings are kept; those used longest ago make room.

    Rules, on every device and from the first call on:

    * Arguments are tensors, tuples, lists, dicts, and hashable values. Each other value, type or sign of a number is
      another step (1, 1.0 and True; 0.0 and -0.0): what changes from call to call is given as a tensor. Tensors are all
      on one device, need no gradient, and are not changed by the step.
    * What is returned are tensors, or None, in tuples, lists or dicts. They are copies without a graph: keep them as
      long as you like.
    * Nothing is read inside: no `item`, `numpy`, `float(...)`, `print`, `if loss > 1`. Return the tensor and read it
      after the call; the error names the line. Nor is anything written: no `interop.save_model`.
    * NumPy arrays do not take part, as operands, indices, values or gradients: they would be read once. Numbers, lists
      of them and NumPy's scalars are constants, as if they stood in the code. So random numbers come from `tg.rand`,
      `tg.randn` and dropout; those of Python's `random`, and single ones of NumPy's, are not noticed, and stay.
    * All work is for the current stream, and nobody waits: no `tg.cuda.stream`, `synchronize`, or events inside.
    * Settings of `param_groups` are changed by schedules, or between the calls.

    What the package's own parts change outside the device acts at each call: step counts, learning rates, schedules,
    random numbers of `tg.rand`, `tg.randn` and dropout, `.grad` of parameters, checks for changes in place. Other
    effects of the code take place only while it runs: calls of hooks, changes of your own variables. What the step
    hands on to its next call must be in tensors that it changes in place: `average.assign_(average * 0.9 + loss)`.
    A tensor that is put into a variable or a list of yours instead (`averages[0] = averages[0] * 0.9 + loss`) lies in
    memory of the recording, may hold anything, and is not noticed. Gradients that the step leaves in `.grad` are where
    it writes the next ones, too: copy those that you keep.

    A recording is dropped when a tensor that it uses gets other memory, as by `to` (a module's `load_state_dict` writes
    into the memory there is). It does not serve while `requires_grad`, `train()` and `eval()` or the parts of a module
    are not as they were. What else the code looks at is not seen, a variable of yours or a hook that is added, say:
    call `reset`.

    Args:
        step: a function of tensors; called as it is, for example, while operations are traced. None makes a decorator,
            as in `@tg.capture(warmup=1)`.
        warmup: how many calls run as they are before one is recorded, at least 1.

    Returns:
        A function of the same arguments. Of a method each object gets one of its own, with its own recordings. Copies
        (`copy.deepcopy`, also of an object with such a method) and what is unpickled begin without recordings.

    Raises:
        CaptureError: from calls: something above is not kept to.

    >>> import tinygrad_bn as tg
    >>> weight = tg.tensor([3.0], requires_grad=True)
    >>> optimizer = tg.optim.SGD([weight], lr=0.25)
    >>> @tg.capture
    ... def step(x):
    ...     optimizer.zero_grad()
    ...     loss = (weight * x).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> [step(tg.tensor([1.0])).item() for _ in range(3)]
    [3.0, 2.75, 2.5]
    """
    calls = as_index("capture", "warmup", warmup, 1)
    if step is None:
        return functools.partial(capture, warmup=calls)
    if not callable(step):
        raise DTypeError(explain("capture", "a function", repr(step)[:80]))
    if inspect.isgeneratorfunction(step) or inspect.iscoroutinefunction(step):
        raise DTypeError(explain("capture", "an ordinary function", f"{step.__name__!r}"))
    return CapturedStep(step, calls)


class CapturedStep(Generic[P, R]):
    """What `capture` returns."""

    def __init__(self, step: Callable[P, R], warmup: int) -> None:
        functools.update_wrapper(self, step)
        self._step = step
        self._warmup = warmup
        self._where = f"the captured step {getattr(step, '__qualname__', repr(step))}"
        self._calling = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Forget all recordings: the next calls run as they are again."""
        with self._calling:
            self._recorded: list[tuple[Hashable, RecordedStep]] = []  # used last behind
            self._calls: dict[tuple[Hashable, Hashable], int] = {}  # that ran as they are, by what they depend on

    @property
    def graphs(self) -> list[GraphInfo]:
        """The recordings that are kept, used last behind; there are none on the CPU."""
        return [
            GraphInfo(tuple((array.shape, array.dtype) for array in recorded.inputs), recorded.replays)
            for _, recorded in self._recorded
        ]

    def __repr__(self) -> str:
        return f"<{self._where}, {len(self._recorded)} recordings>"

    def __get__(self, instance: Any, owner: Any = None) -> CapturedStep[..., R]:
        """Return the step of one object, where this is a method."""
        # Looked up in the class, as Python does: a bound method lends its function's, and is bound already.
        bind = getattr(type(self._step), "__get__", None)
        bound = self._step if instance is None or bind is None else bind(self._step, instance, owner)
        if bound == self._step:
            return self
        if not hasattr(instance, "__dict__"):
            got, remedy = f"one of {type(instance).__name__}, which has __slots__ only", "capture a function instead"
            raise CaptureError(explain(self._where, "an object that can keep its recordings", got, remedy))
        steps = instance.__dict__.setdefault("_captured_steps", _StepsOfAnObject())
        found: CapturedStep[..., R] | None = steps.get(self)
        return found or steps.setdefault(self, CapturedStep(bound, self._warmup))

    def __deepcopy__(self, memo: dict[int, Any]) -> CapturedStep[P, R]:
        return CapturedStep(copy.deepcopy(self._step, memo), self._warmup)  # of a method: of the copied object

    def __reduce__(self) -> Any:
        name = getattr(self, "__qualname__", "")
        if getattr(sys.modules.get(self.__module__), name, None) is self:
            return name  # as of functions: the variable of this name
        return CapturedStep, (self._step, self._warmup)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the step."""
        if trace_mode.get():
            return self._step(*args, **kwargs)
        if is_inside():  # another one, of which this is a part
            return with_tensors(self._step(*args, **kwargs), Tensor.detach)  # type: ignore[no-any-return]
        tensors: list[Tensor] = []
        layouts = tuple(layout_of(self._where, given, name, tensors) for name, given in _named(args, kwargs))
        device = self._device_of(tensors)
        outputs: R
        if device.recorder is None:
            outputs = self._plainly(args, kwargs, tensors)
        else:
            with self._calling:
                outputs = self._repeatedly(device.recorder(), (layouts, device, modes()), args, kwargs, tensors)
        return outputs

    def _device_of(self, tensors: Sequence[Tensor]) -> Device:
        if not tensors:
            raise CaptureError(explain(self._where, "at least one tensor among the arguments", "none"))
        device = tensors[0].device
        for tensor in tensors:
            if tensor.device is not device:
                devices = f"{device} and {tensor.device}"
                raise DeviceError(explain(self._where, "tensors on one device", devices, "move one with .to(...)"))
            if tensor.requires_grad:
                got, remedy = "one that does", "use detach(), and reach parameters as variables of the step's own"
                raise CaptureError(explain(self._where, "arguments that need no gradient", got, remedy))
        return device

    def _plainly(self, args: Any, kwargs: Any, tensors: Sequence[Tensor]) -> Any:
        return with_tensors(self._run(args, kwargs, tensors[0].device, [tensor.data for tensor in tensors]), copied)

    def _run(self, args: Any, kwargs: Any, device: Device, arrays: Iterable[Any]) -> Any:
        """Run the code, with these arrays in the place of the arguments' own; return its outputs without a graph."""
        remaining = iter(arrays)

        def alias(tensor: Tensor) -> Tensor:
            return tensor.wrap(next(remaining), version=InputVersion())

        with captured_step():
            outputs = self._step(*with_tensors(args, alias), **with_tensors(kwargs, alias))
        check_outputs(self._where, outputs, device)
        return with_tensors(outputs, Tensor.detach)

    def _repeatedly(self, recorder: Any, key: Hashable, args: Any, kwargs: Any, tensors: Sequence[Tensor]) -> Any:
        """Repeat the recording that fits; where none does, run the step as it is or, after some calls, record it."""
        tensors[0].device.use()
        same = [entry for entry in self._recorded if entry[0] == key]
        for entry in same:
            if entry[1].fits():
                self._recorded.remove(entry)
                self._recorded.append(entry)
                return entry[1].replay(tensors)
        if any(recorded.is_outdated for _, recorded in same):
            self._recorded = [entry for entry in self._recorded if entry not in same or not entry[1].is_outdated]
            self._calls = {known: calls for known, calls in self._calls.items() if known[0] != key}
            same = [entry for entry in same if entry in self._recorded]
        situation = key, same[-1][1].situation() if same else None
        if self._calls.get(situation, 0) >= self._warmup:
            return self._record(recorder, key, args, kwargs, tensors)
        with recorder.warming_up():
            outputs = self._plainly(args, kwargs, tensors)
        self._calls[situation] = self._calls.pop(situation, 0) + 1
        if len(self._calls) > _MOST_SITUATIONS:
            del self._calls[next(iter(self._calls))]
        return outputs

    def _record(self, recorder: Any, key: Hashable, args: Any, kwargs: Any, tensors: Sequence[Tensor]) -> Any:
        """Record the step, which computes nothing, and then do it as any call of the recording does."""
        device = tensors[0].device
        inputs = [device.copy(tensor.data) for tensor in tensors]
        outputs, notes, graph = recorder.record(lambda: self._run(args, kwargs, device, inputs))
        replaced = notes.replaced()
        if replaced:
            notes.undo()
            got = f"{replaced[0].name or 'one'} of shape {replaced[0].shape} with another one"
            remedy = "change it in place, with assign_ or tensor[...] = values"
            raise CaptureError(explain(self._where, "tensors from outside to keep their arrays", got, remedy))
        recorded = RecordedStep(device, inputs, outputs, notes, graph)
        if recorded.finds_the_same():  # a step that has switched something would not begin like this again
            self._recorded = [*self._recorded, (key, recorded)][-MOST_GRAPHS:]
        return recorded.launch()


class _StepsOfAnObject(dict[CapturedStep[..., Any], CapturedStep[..., Any]]):
    """An object's own captured steps, by what its class has; a copy of the object begins with none."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _StepsOfAnObject:
        return _StepsOfAnObject()

    def __reduce__(self) -> Any:
        return _StepsOfAnObject, ()


def _named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((f"argument {number}", value) for number, value in enumerate(args, start=1))
    yield from ((name, value) for name, value in kwargs.items())
