"""What a captured step must do on the host before each replay.

A captured step runs its Python code once, while it is recorded; afterwards the device repeats what was recorded and the
host does only what is noted here: drawing random masks, advancing step counts, reading the learning rate. Code that is
to work in a captured step goes through `fed` and `each_time`; outside one they do their work at once and note nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np


class Recording:
    """A step while it is recorded.

    Attributes:
        before_replay: what the host does before each replay, in the order in which the step's code did it.
    """

    def __init__(self) -> None:
        self.before_replay: list[Callable[[], None]] = []


_recording: ContextVar[Recording | None] = ContextVar("tinygrad_bn.recording", default=None)


def recording() -> Recording | None:
    """Return the recording under way in this thread, if there is one."""
    return _recording.get()


def each_time(action: Callable[[], None]) -> None:
    """Do something now and, where a step is being recorded, again before each replay of it."""
    action()
    under_way = _recording.get()
    if under_way is not None:
        under_way.before_replay.append(action)


def fed(device: Any, draw: Callable[[], np.ndarray]) -> Any:
    """Return what `draw` returns as an array of the device; a captured step gets new values before each replay.

    Args:
        draw: gives a NumPy array, of the same shape and dtype each time.
    """
    array = device.from_host(draw())
    under_way = _recording.get()
    if under_way is not None:
        under_way.before_replay.append(lambda: device.refill(array, draw()))
    return array
