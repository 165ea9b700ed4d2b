"""Batches for a GPU: a thread prepares the next ones, and they are copied while the GPU computes with the last one."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterator
from queue import SimpleQueue

import numpy as np

from ..backend import Device
from ..backend.staging import Copy, Slot, Transfer
from ..creation import from_array
from ..tensor import Tensor

HostBatch = tuple[np.ndarray, np.ndarray]

SLOTS = 3
"""Batches in page-locked memory: one is being copied, one waits for that, one is being written."""


def prefetched(batches: Iterator[HostBatch], device: Device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches as tensors on a GPU: the same ones in the same order, each prepared while earlier ones are used.

    The batches' own code runs in another thread. What it raises is raised here, in the place of the batch that it was
    about to give. The thread ends when the last batch is taken, or when this generator is closed or forgotten.

    Args:
        batches: images and labels on the host; nobody else may take from it.
        device: a GPU.
    """
    slots = [Slot(device) for _ in range(SLOTS)]
    free: SimpleQueue[Slot | None] = SimpleQueue()
    filled: SimpleQueue[Slot | BaseException | None] = SimpleQueue()
    for slot in slots:
        free.put(slot)
    stopped = threading.Event()
    arguments = (batches, device, free, filled, stopped)
    thread = threading.Thread(target=_fill, args=arguments, name="prefetch", daemon=True)
    transfer = Transfer(device)
    begun: deque[Copy | BaseException | None] = deque()

    def begin_next() -> None:
        taken = filled.get()
        if isinstance(taken, Slot):
            begun.append(transfer.begin(taken))
            free.put(taken)
        else:
            begun.append(taken)

    thread.start()
    try:
        while True:
            if not begun:
                begin_next()
            if not filled.empty():
                begin_next()  # that copy runs while the GPU computes with this batch
            first = begun.popleft()
            if first is None:
                return
            if isinstance(first, BaseException):
                raise first
            arrays = transfer.finish(first)
            del first
            yield from_array(arrays.pop(0)), from_array(arrays.pop())  # nothing here keeps them alive
    finally:
        stopped.set()
        free.put(None)
        # The garbage collector may run anywhere. As the interpreter ends, other threads stand still for good.
        if thread is not threading.current_thread() and not sys.is_finalizing():
            thread.join()
        for slot in slots:
            slot.wait()  # page-locked memory is lent again as soon as it is forgotten here


def _fill(
    batches: Iterator[HostBatch],
    device: Device,
    free: SimpleQueue[Slot | None],
    filled: SimpleQueue[Slot | BaseException | None],
    stopped: threading.Event,
) -> None:
    """Fill free slots with batches until there are no more, or until it is stopped."""
    device.use()  # page-locked memory is asked of the current GPU's driver, and each thread begins on the first GPU
    try:
        for batch in batches:
            slot = free.get()
            if slot is None or stopped.is_set():
                return
            slot.hold(batch)
            filled.put(slot)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the thread that takes the batches
        filled.put(error)
    else:
        filled.put(None)
