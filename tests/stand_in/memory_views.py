"""Arrays over addresses: how the stand-ins of NVIDIA's libraries reach what they are given pointers to."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .gpu_state import state


def array_at(address: int, dtype: Any, shape: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """Return an array over memory; strides in elements."""
    dtype = np.dtype(dtype)
    count = 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    flat = np.frombuffer(memory, dtype, count)
    flat.flags.writeable = True
    return np.lib.stride_tricks.as_strided(flat, shape, [stride * dtype.itemsize for stride in strides])


def do_or_record(stream: int, action: Callable[[], None]) -> None:
    """Do a library's work, or let the stream record it; the library must have been told of the current stream."""
    current = state.stream()
    if stream != (0 if current is None else current.ptr):
        raise AssertionError(f"the library works on stream {stream}, the current one is {current}")
    recording = state.recording()
    if recording is None:
        action()
    else:
        recording.actions.append(action)


def rounded_to_tf32(array: np.ndarray) -> np.ndarray:
    """Return float32 numbers with 10 bits after the point, to the nearest, ties away from 0."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32).reshape(array.shape)
