"""Memory that is used again: a pool of blocks from which the fast kernels take outputs and workspaces.

Memory that is fresh from the operating system costs more in page faults than most kernels cost in arithmetic, and a
training step needs the same sizes again and again. A block is lent out as an ordinary array. Every array that shows
any part of it (a view, a reshaped view, one held by another library) holds a reference to the block, so the block is
free exactly when nobody but the pool refers to it. No count is kept, and nothing can be given back too early.
"""

from __future__ import annotations

import math
import threading
from sys import getrefcount
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""

_SMALLEST = 1 << 15
_FREE_AT_MOST = 1 << 28

Array = np.ndarray[Any, Any]
_Blocks = list[tuple[Array, int]]


class BufferPool:
    """Blocks of host memory by size; sizes are rounded up by at most a 32nd, so that similar ones share a block.

    Args:
        smallest: arrays of fewer bytes are left to NumPy, which is quick with them.
    """

    def __init__(self, smallest: int = _SMALLEST) -> None:
        self._smallest = smallest
        self._blocks: dict[int, _Blocks] = {}  # by size: the block, and where in it the first cache line begins
        self._lock = threading.Lock()
        self.fresh = 0
        """How often new memory had to be taken."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an uninitialised C-contiguous array that nobody else refers to, aligned to a cache line."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < self._smallest:
            return np.empty(shape, dtype)
        size = _rounded(size)
        with self._lock:
            blocks = self._blocks.setdefault(size, [])
            block, offset = _first_with(blocks, _UNLENT) or self._take(size, blocks)
            return np.ndarray(shape, dtype, buffer=block, offset=offset)

    def workspace(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an array as `empty` does, for memory that is given back within the same operation.

        It may be the beginning of a much larger block: what is lent that briefly keeps it from nobody.
        """
        dtype = np.dtype(dtype)
        least = math.prod(shape) * dtype.itemsize
        if least < self._smallest:
            return np.empty(shape, dtype)
        with self._lock:
            for size in sorted(self._blocks):
                if size >= least and (found := _first_with(self._blocks[size], _UNLENT)):
                    return np.ndarray(shape, dtype, buffer=found[0], offset=found[1])
        return self.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Return an array of zeros."""
        result = self.empty(shape, dtype)
        result.fill(0)
        return result

    def release(self) -> None:
        """Give the blocks that nobody refers to back to the operating system."""
        with self._lock:
            self._drop_free()

    def sizes(self) -> tuple[int, int]:
        """Return how many bytes are lent and how many are free."""
        with self._lock:
            return self._sizes()

    def restart(self) -> None:
        """Make a new lock, as a forked child must: another thread of its parent may have held the old one."""
        self._lock = threading.Lock()

    def _take(self, size: int, blocks: _Blocks) -> tuple[Array, int]:
        lent, free = self._sizes()
        if free > max(lent, _FREE_AT_MOST):
            self._drop_free()
        self.fresh += 1
        block = np.empty(size + ALIGNMENT, dtype=np.uint8)
        blocks.append((block, -block.ctypes.data % ALIGNMENT))
        return blocks[-1]

    def _sizes(self) -> tuple[int, int]:
        total = sum(size * len(blocks) for size, blocks in self._blocks.items())
        free = sum(size * _number_with(blocks, _UNLENT) for size, blocks in self._blocks.items())
        return total - free, free

    def _drop_free(self) -> None:
        for blocks in self._blocks.values():
            blocks[:] = [entry for entry in blocks if getrefcount(entry[0]) != _UNLENT]


def _rounded(size: int) -> int:
    """Return the size in steps of a 32nd of the power of two below it."""
    step = 1 << max(size.bit_length() - 6, 0)
    return -(-size // step) * step


def _first_with(blocks: _Blocks, references: int) -> tuple[Array, int] | None:
    for entry in blocks:
        if getrefcount(entry[0]) == references:
            return entry
    return None


def _number_with(blocks: _Blocks, references: int) -> int:
    return sum(getrefcount(entry[0]) == references for entry in blocks)


def _references_when_free() -> int:
    """Count the references to a block that is only in the pool; they differ between versions of Python."""
    sample: _Blocks = [(np.empty(1, dtype=np.uint8), 0)]
    return next(number for number in range(1, 10) if _first_with(sample, number))


_UNLENT = _references_when_free()
