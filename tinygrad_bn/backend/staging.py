"""Arrays on their way to a GPU, beside what the GPU computes meanwhile.

A copy overlaps with computation if it is made from page-locked host memory and in a stream of its own. Three things
must then be waited for, and the events here do that: the memory on the GPU must be free (its last user may still be
queued on the computing stream, from whose pool it comes); the copy must be done before the computing stream reads it,
and before the page-locked memory is written again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .device import Device


class Slot:
    """Page-locked memory for the arrays of one batch at a time."""

    def __init__(self, device: Device) -> None:
        self._cuda = device.xp.cuda
        self._blocks: list[Any] = []
        self.arrays: list[np.ndarray] = []
        self.copied: Any = None
        """The event after the last copy from here."""

    def hold(self, arrays: Sequence[np.ndarray]) -> None:
        """Copy arrays into the slot, as soon as what it held before has been copied to the GPU."""
        self.wait()
        self.arrays = [self._place(number, array) for number, array in enumerate(arrays)]

    def wait(self) -> None:
        """Wait until what the slot holds has been copied to the GPU, if that was begun."""
        if self.copied is not None:
            self.copied.synchronize()

    def _place(self, number: int, array: np.ndarray) -> np.ndarray:
        if number == len(self._blocks):
            self._blocks.append(None)
        if self._blocks[number] is None or len(memoryview(self._blocks[number])) < array.nbytes:
            self._blocks[number] = self._cuda.alloc_pinned_memory(array.nbytes)
        placed = np.frombuffer(self._blocks[number], array.dtype, array.size).reshape(array.shape)
        placed[...] = array
        return placed


class Copy(NamedTuple):
    """Arrays of a GPU that are being copied there, and the event after which they may be read."""

    arrays: list[Any]
    done: Any


class Transfer:
    """Copies from slots to one GPU, in a stream of their own."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._stream = device.use().cuda.Stream(non_blocking=True)

    def begin(self, slot: Slot) -> Copy:
        """Begin to copy what a slot holds into new memory."""
        xp = self._device.use()
        arrays = [xp.empty(array.shape, array.dtype) for array in slot.arrays]
        free = xp.cuda.get_current_stream().record(xp.cuda.Event(disable_timing=True))
        self._stream.wait_event(free)
        for array, source in zip(arrays, slot.arrays, strict=True):
            array.set(source, stream=self._stream)
        slot.copied = self._stream.record(xp.cuda.Event(disable_timing=True))
        return Copy(arrays, slot.copied)

    def finish(self, copy: Copy) -> list[Any]:
        """Return the arrays of a copy; the current stream begins what it is asked from now on only after the copy."""
        self._device.use().cuda.get_current_stream().wait_event(copy.done)
        return copy.arrays
