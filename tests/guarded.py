"""A buffer pool that shows what kernels do to memory: what nobody wrote reads as NaN, writing beside it is noticed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_bn.backend import BufferPool, Device
from tinygrad_bn.backend.memory import ALIGNMENT

_MARGIN = 4096
_WATCHED = 1 << 28  # bytes
_FILLED = 0xFF  # as bytes of a float16, float32 or float64: NaN


class GuardedPool(BufferPool):
    """Lends new memory full of NaN, whatever the size, and keeps some more of it on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self._lent: list[tuple[np.ndarray, int, int]] = []
        self._bytes = 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        memory = np.full(size + 2 * _MARGIN + ALIGNMENT, _FILLED, np.uint8)
        begin = _MARGIN + -memory.ctypes.data % ALIGNMENT
        self._bytes += memory.size
        if self._bytes > _WATCHED:
            self.check()
            self._lent.clear()
            self._bytes = 0
        self._lent.append((memory, begin, begin + size))
        return np.ndarray(shape, dtype, buffer=memory, offset=begin)

    workspace = empty

    def check(self) -> None:
        """Fail if anybody has written beside an array."""
        for memory, begin, end in self._lent:
            beside = np.concatenate([memory[:begin], memory[end:]])
            assert (beside == _FILLED).all(), f"written beside an array of {end - begin} bytes"


@contextmanager
def guarded(device: Device) -> Iterator[GuardedPool]:
    """Give a device a guarded pool for a while, and look at it in the end."""
    before, device.memory = device.memory, GuardedPool()
    try:
        yield device.memory
        device.memory.check()
    finally:
        device.memory = before
