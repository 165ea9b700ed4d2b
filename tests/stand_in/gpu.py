"""A module that stands in for CuPy on a machine without a GPU, so that the real code for GPUs runs there.

Arrays are computed by NumPy, kernels are compiled for the CPU. Nothing is said about speed, and nothing about what a
GPU does at the same time.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tinygrad_bn.backend import capturing
from tinygrad_bn.backend import device as devices
from tinygrad_bn.kernels import kernels_of

from . import gpu_kernels, gpu_memory, gpu_streams
from .array import Function, function_named
from .compiling import unavailable_reason
from .gpu_array import ndarray
from .gpu_memory import MemoryPool, check_all
from .gpu_state import CUDARuntimeError, state
from .nvidia import stand_in_libraries


def _asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    if isinstance(a, ndarray):
        return a.get(stream, order, out, blocking)
    return np.asarray(a, order=order)  # type: ignore[call-overload,no-any-return]


class _Host:
    """Somebody's capsule as NumPy takes it."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def _from_dlpack(array: Any, *, device: Any = None, copy: bool | None = None) -> ndarray:
    kind, index = array.__dlpack_device__()
    if kind != 2:
        raise TypeError("CPU arrays cannot be directly imported to CuPy")
    with gpu_streams.Device(index):
        stream = gpu_streams.get_current_stream().ptr or 1  # the legacy default stream's number in DLPack
        capsule = array.__dlpack__(stream=stream, max_version=(1, 0), copy=copy)
    host = np.from_dlpack(_Host(capsule))
    return ndarray(host, gpu_memory.memory_at(host.ctypes.data))


def _module(name: str, **contents: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(contents)
    return module


def _runtime() -> types.ModuleType:
    def get_device_properties(device: int) -> dict[str, Any]:
        return {"name": b"emulated GPU", "major": 9, "minor": 0, "multiProcessorCount": 4, "totalGlobalMem": 1 << 34}

    return _module(
        "cupy.cuda.runtime",
        CUDARuntimeError=CUDARuntimeError,
        getDevice=lambda: state.thread.device,
        getDeviceCount=lambda: state.count,
        getDeviceProperties=get_device_properties,
        setDevice=lambda device: gpu_streams.Device(device).use(),
        deviceSynchronize=state.refuse_capture,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        memGetInfo=lambda: (1 << 33, 1 << 34),
        streamCaptureModeGlobal=0,
        streamCaptureModeThreadLocal=1,
        streamCaptureModeRelaxed=2,
    )


def _cupy() -> types.ModuleType:
    """Return a new module; its memory pool is its own."""
    pool = MemoryPool()
    state.default_allocator = pool.malloc
    runtime = _runtime()
    memory = _module(
        "cupy.cuda.memory", OutOfMemoryError=gpu_memory.OutOfMemoryError, MemoryPointer=gpu_memory.MemoryPointer
    )
    stream = _module("cupy.cuda.stream", get_current_stream=gpu_streams.get_current_stream)
    cuda = _module(
        "cupy.cuda",
        runtime=runtime,
        nvrtc=_module(
            "cupy.cuda.nvrtc", getVersion=lambda: (13, 0), getSupportedArchs=lambda: [75, 80, 86, 89, 90, 100]
        ),
        memory=memory,
        stream=stream,
        is_available=lambda: state.count > 0,
        Device=gpu_streams.Device,
        Stream=gpu_streams.Stream,
        Event=gpu_streams.Event,
        Graph=gpu_streams.Graph,
        MemoryPool=MemoryPool,
        Memory=gpu_memory.DriverMemory,
        MemoryPointer=gpu_memory.MemoryPointer,
        UnownedMemory=gpu_memory.UnownedMemory,
        alloc=lambda size: (state.thread.allocator or state.default_allocator)(size),  # type: ignore[misc]
        PinnedMemoryPointer=gpu_memory.PinnedMemoryPointer,
        alloc_pinned_memory=gpu_memory.alloc_pinned_memory,
        get_allocator=lambda: state.thread.allocator or state.default_allocator,
        get_current_stream=gpu_streams.get_current_stream,
        get_elapsed_time=gpu_streams.get_elapsed_time,
        set_allocator=lambda allocator=None: setattr(state, "default_allocator", allocator),
        using_allocator=gpu_memory.using_allocator,
    )
    stride_tricks = _module("cupy.lib.stride_tricks", as_strided=Function(ndarray, np.lib.stride_tricks.as_strided))
    cupy = _module(
        "cupy",
        __version__="14.2.0",
        RawModule=gpu_kernels.RawModule,
        asnumpy=_asnumpy,
        cuda=cuda,
        from_dlpack=_from_dlpack,
        get_default_memory_pool=lambda: pool,
        lib=_module("cupy.lib", stride_tricks=stride_tricks),
        linalg=_module("cupy.linalg", norm=Function(ndarray, np.linalg.norm)),
        ndarray=ndarray,
        __getattr__=lambda name: function_named(ndarray, name),
        __path__=[],
    )
    return cupy


_real: types.ModuleType | None = None


def use_real(cupy: types.ModuleType) -> None:
    """Let tests that ask for an emulated GPU have the real one from now on, through the real CuPy."""
    global _real
    _real = cupy


@contextmanager
def emulated_gpu(count: int = 1) -> Iterator[types.ModuleType]:
    """Give this process emulated GPUs through a stand-in for CuPy, and take them away again.

    Raises:
        RuntimeError: in the end, if a kernel has written beside an array.
    """
    if _real is not None:
        if count > _real.cuda.runtime.getDeviceCount():
            pytest.skip(f"there are not {count} GPUs")
        yield _real
        return
    reason = unavailable_reason()
    if reason:
        pytest.skip(reason)
    kernels_of(devices.get_device("cpu"))  # chosen while the variable is there that may force them
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "cupy"}
    opened = {name: device for name, device in devices._devices.items() if name.startswith("cuda:")}
    for name in before:
        del sys.modules[name]
    for name in opened:
        del devices._devices[name]
    outer = dict(vars(state))  # another emulation may be under way
    state.reset()
    state.count = count
    cupy = _cupy()
    for module in (cupy, cupy.cuda, cupy.cuda.runtime, cupy.cuda.memory, cupy.cuda.stream, cupy.lib):
        sys.modules[module.__name__] = module
    try:
        cupys = (*capturing._NOT_THE_USERS, __name__.partition(".")[0])
        with (
            stand_in_libraries(),
            mock.patch.object(capturing, "_NOT_THE_USERS", cupys),
            mock.patch.dict(os.environ),
        ):
            os.environ.pop("TINYGRAD_BN_KERNELS", None)  # tested are the GPU's own kernels, whatever serves the CPU
            yield cupy
        check_all()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
            del sys.modules[name]
        sys.modules.update(before)
        for name in [name for name in devices._devices if name.startswith("cuda:")]:
            del devices._devices[name]
        devices._devices.update(opened)
        vars(state).update(outer)
