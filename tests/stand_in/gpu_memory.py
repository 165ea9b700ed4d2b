"""The memory of an emulated GPU: fresh and freed memory is full of NaN, and beside every array lies a guarded zone.

A pool lends freed memory again, as CuPy's does: per stream, and without asking whether a recorded graph still uses it.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .gpu_state import state

ALIGNMENT = 512
MARGIN = 512
POISON = 0xFF  # as bytes of a float16, bfloat16, float32 or float64: NaN
GUARD = 0xA5


class Block:
    """Memory from the emulated driver, with a margin on both sides."""

    def __init__(self, capacity: int, device: int) -> None:
        self.bytes = np.full(capacity + 2 * MARGIN + ALIGNMENT, GUARD, np.uint8)
        self.begin = MARGIN + -(self.bytes.ctypes.data + MARGIN) % ALIGNMENT
        self.capacity = capacity
        self.device = device
        self.end = self.begin

    def lend(self, size: int) -> None:
        self.end = self.begin + size
        self.bytes[: self.begin] = GUARD
        self.bytes[self.begin : self.end] = POISON
        self.bytes[self.end :] = GUARD

    def check(self) -> None:
        """Fail if anybody has written beside what is lent."""
        before, behind = self.bytes[: self.begin], self.bytes[self.end :]
        if (before != GUARD).any() or (behind != GUARD).any():
            changed = np.flatnonzero(self.bytes != GUARD)
            outside = changed[(changed < self.begin) | (changed >= self.end)]
            self.lend(self.end - self.begin)
            raise RuntimeError(
                f"an illegal memory address was used: written beside an array of {self.end - self.begin} bytes, "
                f"from {outside[0] - self.begin} to {outside[-1] - self.begin} bytes behind its beginning"
            )


class Memory:
    """Lent memory; it goes back to the pool when nobody refers to it any more."""

    def __init__(self, block: Block, size: int, pool: MemoryPool | None, stream: int) -> None:
        block.lend(size)
        self.block = block
        self.size = size
        self.device_id = block.device
        self.ptr = block.bytes.ctypes.data + block.begin
        _alive.add(self)
        if pool is not None:
            weakref.finalize(self, _give_back, weakref.ref(pool), block, stream).atexit = False

    @property
    def device(self) -> Any:
        from .gpu_streams import Device

        return Device(self.device_id)


def _give_back(pool: weakref.ref[MemoryPool], block: Block, stream: int) -> None:
    owner = pool()
    if owner is not None:
        owner._take_back(block, stream)


_alive: weakref.WeakSet[Memory] = weakref.WeakSet()


def _poison(blocks: list[Block]) -> None:
    for block in blocks:
        block.bytes[block.begin : block.end] = POISON


def check_all() -> None:
    """Fail if anybody has written beside an array that is alive."""
    for memory in list(_alive):
        memory.block.check()


def memory_at(address: int) -> Memory:
    """Return the lent memory in which an address lies."""
    return next(memory for memory in _alive if memory.ptr <= address < memory.ptr + max(memory.size, 1))


class DriverMemory(Memory):
    """Memory from the driver, as `cupy.cuda.Memory`."""

    def __init__(self, size: int) -> None:
        super().__init__(Block(size, state.thread.device), size, None, 0)


class UnownedMemory:
    """Memory of somebody else, who is kept as long as it is used."""

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self.ptr = ptr
        self.size = size
        self.device_id = state.thread.device if device_id == -1 else device_id
        self.block = next(memory.block for memory in list(_alive) if memory.ptr == ptr)
        self._owner = owner

    @property
    def device(self) -> Any:
        from .gpu_streams import Device

        return Device(self.device_id)


class MemoryPointer:
    """A place in lent memory, as `array.data`."""

    def __init__(self, mem: Memory, offset: int) -> None:
        self.mem = mem
        self.ptr = mem.ptr + offset
        self.device_id = mem.device_id
        self.device = mem.device

    def __int__(self) -> int:
        return self.ptr


class MemoryPool:
    """Memory that is lent again after it was freed, on the stream for which it was lent first.

    When the pool goes, so does its memory, whoever uses it.

    Args:
        allocator: where it takes memory from; None stands for the driver.
    """

    def __init__(self, allocator: Any = None) -> None:
        self._allocator = allocator
        self._blocks: list[Block] = []
        weakref.finalize(self, _poison, self._blocks).atexit = False
        self._free: dict[tuple[int, int, int], list[Block]] = defaultdict(list)
        self._used = 0
        self._limit = 0

    def malloc(self, size: int) -> MemoryPointer:
        stream = state.stream()
        capacity = max(-(-size // ALIGNMENT), 1) * ALIGNMENT
        key = (state.thread.device, 0 if stream is None else stream.ptr, capacity)
        free = self._free[key]
        if self._limit and not free and self.total_bytes() + capacity > self._limit:
            raise OutOfMemoryError(capacity, self.total_bytes(), self._limit)
        block = free.pop() if free else self._fresh(capacity, key[0])
        self._used += capacity
        memory = Memory(block, size, self, key[1])
        if state.recording() is not None:
            block.lend(capacity)  # several arrays take turns in it, and all are used when it is replayed
        return MemoryPointer(memory, 0)

    def _fresh(self, capacity: int, device: int) -> Block:
        block = Block(capacity, device) if self._allocator is None else self._allocator(capacity).mem.block
        self._blocks.append(block)
        return block

    def _take_back(self, block: Block, stream: int) -> None:
        block.bytes[block.begin : block.end] = POISON
        self._used -= block.capacity
        self._free[block.device, stream, block.capacity].append(block)

    def free_all_blocks(self, stream: Any = None) -> None:
        self._free.clear()

    def n_free_blocks(self) -> int:
        return sum(map(len, self._free.values()))

    def used_bytes(self) -> int:
        return self._used

    def free_bytes(self) -> int:
        return sum(block.capacity for blocks in self._free.values() for block in blocks)

    def total_bytes(self) -> int:
        return self._used + self.free_bytes()

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        self._limit = size or 0

    def get_limit(self) -> int:
        return self._limit


class OutOfMemoryError(MemoryError):
    """Out of memory error."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes, "
            f"limit set to: {limit:,} bytes)."
        )


def allocated(size: int) -> Memory:
    """Return memory from whoever allocates in this thread."""
    allocator = state.thread.allocator or state.default_allocator
    assert allocator is not None
    return allocator(size).mem


@contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    """Take memory from elsewhere for a while, in this thread."""
    before, state.thread.allocator = state.thread.allocator, allocator
    try:
        yield
    finally:
        state.thread.allocator = before


class PinnedMemoryPointer(bytearray):
    """Host memory that copies of streams may use; it has Python's buffer interface, as CuPy's."""

    @property
    def ptr(self) -> int:
        return np.frombuffer(self, np.uint8).ctypes.data

    @property
    def mem(self) -> PinnedMemoryPointer:
        return self

    def size(self) -> int:
        return len(self)


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    """Return host memory that copies of streams may use."""
    return PinnedMemoryPointer(size)


def is_pinned(array: np.ndarray) -> bool:
    """Return whether an array lies in memory from `alloc_pinned_memory`."""
    base: Any = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return isinstance(base, PinnedMemoryPointer)
