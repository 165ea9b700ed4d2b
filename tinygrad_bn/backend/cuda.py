"""CUDA devices, through CuPy: opening one, or saying why it cannot be used and what helps.

CuPy is imported when a CUDA device is first asked for. Each of its arrays belongs to one GPU; what is computed and
allocated goes to the GPU that is *current* in the thread, and there to the stream that is current. So a device has
`activate`, which makes its GPU current where there are several.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DeviceError, explain
from .capturing import literal
from .cuda_graph import GraphRecorder
from .device import Device

_WHEELS = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")
_INSTALL = "pip install 'tinygrad_bn[cuda12]' or 'tinygrad_bn[cuda13]'"
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that says which GPUs CUDA sees; what it names counts from 0 there."""

# Numbers of the CUDA runtime's errors.
_NOT_INITIALIZED, _INSUFFICIENT_DRIVER, _NO_DEVICE = 3, 35, 100


class CudaMemory:
    """One GPU's memory as kernels take it, in the interface of `BufferPool`; it comes from CuPy's pool."""

    def __init__(self, cupy: Any, index: int) -> None:
        self._cupy = cupy
        self._index = index

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an uninitialised C-contiguous array."""
        return self._cupy.empty(shape, dtype)

    def workspace(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an array as `empty` does: what is given back serves whoever asks next on the same stream."""
        return self._cupy.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an array of zeros."""
        return self._cupy.zeros(shape, dtype)

    def release(self) -> None:
        """Give the blocks that nobody refers to back to the driver."""
        with self._cupy.cuda.Device(self._index):
            self._cupy.get_default_memory_pool().free_all_blocks()

    def sizes(self) -> tuple[int, int]:
        """Return how many bytes are lent and how many are free in the pool."""
        pool = self._cupy.get_default_memory_pool()
        with self._cupy.cuda.Device(self._index):
            return pool.used_bytes(), pool.free_bytes()


def device_count() -> int:
    """Return the number of GPUs that can be used.

    Raises:
        DeviceError: none can; the message says why and what helps.
    """
    return _count("device 'cuda'", _import_cupy("device 'cuda'"))


def open_device(index: int) -> Device:
    """Return the device of a GPU's number.

    Raises:
        DeviceError: it cannot be used; the message says why and what helps.
    """
    where = f"device 'cuda:{index}'"
    cupy = _import_cupy(where)
    count = _count(where, cupy)
    if index >= count:
        visible = os.environ.get(VISIBLE)
        remedy = None if visible is None else f"{VISIBLE}={visible} hides the others, and those it shows count from 0"
        raise DeviceError(explain(where, f"an index below {count}, the number of GPUs", str(index), remedy))
    gpu = cupy.cuda.Device(index)
    _check_compiler(where, cupy, gpu)
    activate: Callable[[], None] | None = gpu.use if count > 1 else None

    def from_host(array: np.ndarray) -> Any:
        if activate is not None:
            activate()
        return literal(cupy.asarray, array)

    @functools.cache
    def recorder() -> GraphRecorder:
        with gpu:
            return GraphRecorder(cupy)

    return Device(
        f"cuda:{index}",
        cupy,
        cupy.ndarray,
        cupy.asnumpy,
        from_host,
        CudaMemory(cupy, index),
        activate,
        functools.partial(_from_peer, cupy, index),
        recorder,
    )


def _from_peer(cupy: Any, index: int, array: Any) -> Any:
    """Return a copy of another GPU's array on this one, which never sees the host where the two can reach each other.

    The copy waits for what computes the array, and memory of it is not used again before it has been copied.
    """
    outer_first = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    with array.device:
        dense = array.transpose(outer_first)
        dense = dense if dense.flags.c_contiguous else dense.copy()
        there = cupy.cuda.get_current_stream()
        written = there.record(cupy.cuda.Event(disable_timing=True))
    with cupy.cuda.Device(index):  # not one for all threads: it keeps in itself where to come back to
        here = cupy.cuda.get_current_stream()
        here.wait_event(written)
        copy = dense.copy().transpose(sorted(range(array.ndim), key=outer_first.__getitem__))
        copied = here.record(cupy.cuda.Event(disable_timing=True))
    with array.device:
        there.wait_event(copied)
    return copy


def _import_cupy(where: str) -> Any:
    try:
        import cupy
    except (ImportError, OSError, AttributeError, ValueError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            got, remedy = "no such package", f"install the extra for your CUDA version: {_INSTALL}"
            raise DeviceError(explain(where, "the package CuPy", got, remedy)) from error
        cause = error.__cause__ or error  # CuPy wraps it into half a page
        raise DeviceError(
            explain(where, "CuPy to be importable", f"{type(cause).__name__}: {cause}", _reinstalling())
        ) from error
    return cupy


def _count(where: str, cupy: Any) -> int:
    runtime = cupy.cuda.runtime
    try:
        count = int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as error:
        raise DeviceError(explain(where, *_why_no_gpu(runtime, error.status, str(error)))) from error
    if not count:
        raise DeviceError(explain(where, *_why_no_gpu(runtime, _NO_DEVICE, "")))
    return count


def _why_no_gpu(runtime: Any, status: int, message: str) -> tuple[str, str, str]:
    """Return what was expected, what there is instead, and the remedy, for an error of the CUDA runtime."""
    if status == _INSUFFICIENT_DRIVER:
        ours, driver = version_of_cuda(runtime.runtimeGetVersion()), runtime.driverGetVersion()
        if not driver:
            remedy = "install the driver; in a container, start it with --gpus all; or use --device cpu"
            return "an NVIDIA driver", "none", remedy
        expected = f"a driver for CUDA {ours}, which this CuPy is made for"
        older = "12" if driver < 13000 else version_of_cuda(driver)
        remedy = f"renew the driver, or install CuPy for CUDA {older}, after pip uninstall {' '.join(_installed())}"
        return expected, f"one for CUDA {version_of_cuda(driver)} at most", remedy
    if status == _NO_DEVICE:
        visible = os.environ.get(VISIBLE)
        if visible is None:
            return "an NVIDIA GPU", "a driver that sees none", "see whether nvidia-smi lists it, or use --device cpu"
        return "an NVIDIA GPU", f"none, with {VISIBLE}={visible!r} set", f"unset it, or name a GPU: {VISIBLE}=0"
    if status == _NOT_INITIALIZED:
        remedy = "start processes with multiprocessing's method 'spawn': a forked one cannot use its parent's GPUs"
        return "CUDA to start", message, remedy
    return "CUDA to start", message, "see whether nvidia-smi works, or use --device cpu"


def _check_compiler(where: str, cupy: Any, gpu: Any) -> None:
    """Raise if nothing can be compiled for a GPU: CuPy's functions, and ours, are compiled when first used."""
    compiler = cupy.cuda.nvrtc
    try:
        version = ".".join(map(str, compiler.getVersion()))
        oldest = min(compiler.getSupportedArchs())
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(
            explain(where, "CUDA's compiler NVRTC", f"{type(error).__name__}: {error}", _reinstalling())
        ) from error
    capability = gpu.compute_capability
    if int(capability) < oldest:
        got = f"one of {_capability(capability)}, older than what CUDA {version} is made for"
        remedy = f"install CuPy for CUDA 12: pip uninstall {' '.join(_installed())}; pip install 'tinygrad_bn[cuda12]'"
        raise DeviceError(explain(where, f"a GPU of compute capability {_capability(str(oldest))}", got, remedy))


def _reinstalling() -> str:
    wheels = _installed()
    if len(wheels) > 1:
        both = " and ".join(wheels)
        return f"{both} overwrite each other's files: pip uninstall {' '.join(wheels)}, then {_INSTALL}"
    return f"install CuPy and its libraries for the CUDA version that nvidia-smi shows: {_INSTALL}"


def _installed() -> list[str]:
    """Return the packages, installed here, that bring CuPy; there should be one."""
    return [name for name in _WHEELS if _is_installed(name)]


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def version_of_cuda(number: int) -> str:
    """Return a version of CUDA, 12040, as people write it: 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _capability(digits: str) -> str:
    """Return a compute capability, 75, as people write it: 7.5."""
    return f"{digits[:-1]}.{digits[-1]}"
