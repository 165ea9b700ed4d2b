"""Captured steps: what their code may not do, and what the host does again before each replay.

A captured step runs its Python code once, while it is recorded; afterwards the device repeats what was recorded and the
host does only what is noted: drawing random masks, advancing step counts, reading the learning rate. Code that is to
work in a captured step goes through `fed` and `each_time`; outside one they do their work at once and note nothing.

What would go wrong at a replay is refused from the first call on, on every device: values that the host reads, and
random numbers that nobody draws anew.
"""

from __future__ import annotations

import functools
import linecache
import os
import sys
import sysconfig
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

import numpy as np

from ..errors import CaptureError, explain
from .recording import Recording, current

_PACKAGE = __name__.partition(".")[0]
_NOT_THE_USERS = (_PACKAGE, "cupy", "cupy_backends", "numpy")

_inside: ContextVar[bool] = ContextVar("tinygrad_bn.inside_captured_step", default=False)
_repeated: ContextVar[bool] = ContextVar("tinygrad_bn.repeated_host_work", default=False)
_recording = current

_modes: list[Callable[[], Hashable]] = []


def recording() -> Recording | None:
    """Return the recording under way in this thread, if there is one."""
    return current.get()


def each_time(action: Callable[[], None]) -> None:
    """Do something now and, where a step is being recorded, again before each replay of it."""
    with _as_repeated():
        action()
    under_way = current.get()
    if under_way is not None:
        under_way.before_replay.append(action)


def fed(device: Any, draw: Callable[[], np.ndarray]) -> Any:
    """Return what `draw` returns as an array of the device; a captured step gets new values before each replay.

    Args:
        draw: gives a NumPy array, of the same shape and dtype each time.
    """
    with _as_repeated():
        values = draw()
    under_way = current.get()
    if under_way is None:
        return device.from_host(values)
    with under_way.aside():
        array = device.from_host(values)
    under_way.before_replay.append(lambda: device.refill(array, draw()))
    return array


def literal(place: Callable[[np.ndarray], Any], values: np.ndarray) -> Any:
    """Return what `place` makes of values that a step's code holds; each replay starts from a new copy of them.

    Args:
        place: puts a NumPy array on a device.
    """
    under_way = current.get()
    if under_way is None:
        return place(values)
    with under_way.aside():
        array = place(values)
    under_way.kept.append(array)
    return array.copy(order="K")


@contextmanager
def once() -> Iterator[None]:
    """Inside, a device works at once, also while a step is recorded, and replays do not repeat it.

    For what a step makes when it finds none and goes on with in later steps, such as an optimiser's buffers.
    """
    under_way = current.get()
    if under_way is None:
        yield
    else:
        with under_way.aside():
            yield


def depends_on(mode: Callable[[], Hashable]) -> None:
    """Make steps be recorded separately for each value that `mode` returns as they are called."""
    _modes.append(mode)


def modes() -> tuple[Hashable, ...]:
    """Return what is in force now of all that recorded steps depend on."""
    return tuple(mode() for mode in _modes)


@contextmanager
def recorded(notes: Recording) -> Iterator[None]:
    """Inside runs the code of a step that is being recorded."""
    token = current.set(notes)
    try:
        yield
    finally:
        current.reset(token)


@contextmanager
def captured_step() -> Iterator[None]:
    """Inside runs the code of a captured step, whether it is recorded or not."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def is_inside() -> bool:
    """Return whether the code of a captured step is running in this thread."""
    return _inside.get()


def refuse_inside(expected: str, got: str, remedy: str) -> None:
    """Raise if the code of a captured step is running; the message names the line of the user's that does it.

    Raises:
        CaptureError: it is.
    """
    if _inside.get():
        raise CaptureError(explain(f"a captured step, {place_of(_frames())}", expected, got, remedy))


def refuse_reading(
    what: str = "one that is read", remedy: str = "return the tensor from the step and read it after the call"
) -> None:
    """Raise if a captured step is running, because the host would have to wait for a value; as `refuse_inside`."""
    refuse_inside("values to stay on the device", what, remedy)


def may_show_values() -> bool:
    """Return whether a tensor's `repr` may read its values: not in a captured step, where only our messages need it.

    Raises:
        CaptureError: a captured step is running, and it is not the package that asks.
    """
    if not _inside.get():
        return True
    if not _is_asked_by_the_package():
        refuse_reading("one that is printed")
    return False


def refuse_host_array(data: Any) -> None:
    """Raise if a captured step makes a tensor of a NumPy array: a replay would not look at the array again.

    Numbers and lists of them are as constant as the code in which they stand.

    Args:
        data: what the caller's caller has given.
    """
    if _inside.get() and not _is_asked_by_the_package():
        refuse_host_operand(data)


def refuse_host_operand(value: Any) -> None:
    """Raise if a captured step computes with a NumPy array, as `refuse_host_array`; the package itself uses tensors.

    Args:
        value: an operand, an index or the values of an assignment.
    """
    if _inside.get() and _holds_host_array(value):
        remedy = "make the tensor before the call, and give it to the step"
        refuse_inside("data as tensors among the arguments", "a NumPy array, which is read once", remedy)


def _holds_host_array(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_host_array(part) for part in value)
    return isinstance(value, np.ndarray)


def refuse_drawing(remedy: str = "draw before the call and give the step a tensor") -> None:
    """Raise if a captured step draws random numbers outside `fed` and `each_time`, which draw them for each replay."""
    expected = "random numbers that are drawn anew at each replay, as by functional.dropout, tg.rand and tg.randn"
    refuse_once_only(expected, "a generator's own method", remedy)


def refuse_once_only(expected: str, got: str, remedy: str) -> None:
    """Raise as `refuse_inside`, but not in what `fed` and `each_time` do again for each replay."""
    if not _repeated.get():
        refuse_inside(expected, got, remedy)


def place_of(frames: Iterable[tuple[FrameType, int]]) -> str:
    """Return file, line and source of the innermost of some frames, given innermost first, that is of the user's code.

    Where there is none it is that of a library; of a step that lies in the package itself it is the step's own line.
    """
    outermost: tuple[str, int] | None = None
    of_a_library: tuple[str, int] | None = None
    for frame, line in frames:
        module = str(frame.f_globals.get("__name__", ""))
        if outermost and module.startswith(f"{_PACKAGE}.captured"):
            break
        outermost = frame.f_code.co_filename, line
        if module.partition(".")[0] in _NOT_THE_USERS:
            continue
        if not outermost[0].startswith(_libraries()):
            return _described(*outermost)
        of_a_library = of_a_library or outermost
    return _described(*(of_a_library or outermost or ("", 0)))


@functools.cache
def _libraries() -> tuple[str, ...]:
    """Return how the names of files begin that belong to Python or were installed."""
    folders = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return "<frozen ", *(folder + os.sep for folder in folders)


def _described(filename: str, line: int) -> str:
    source = linecache.getline(filename, line).strip()
    place = f"{filename}, line {line}"
    return f"{place} ({source})" if source else place


def _is_asked_by_the_package() -> bool:
    """Return whether the function that calls this one was called by a function that the package's code has called."""
    return str(sys._getframe(3).f_globals.get("__name__", "")).partition(".")[0] == _PACKAGE


def _frames() -> Iterator[tuple[FrameType, int]]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back


@contextmanager
def _as_repeated() -> Iterator[None]:
    token = _repeated.set(True)
    try:
        yield
    finally:
        _repeated.reset(token)
