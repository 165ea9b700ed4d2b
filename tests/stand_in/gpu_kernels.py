"""`RawModule` of the emulated GPU: CUDA C++ compiled for the CPU, with arguments checked against the parameters.

CuPy hands on whatever it is given; an argument of the wrong size would be garbage in the kernel. Here it is an error.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np

from .compiling import CompileError, Kernel, Parameter, compiled
from .gpu_array import check_device, ndarray
from .gpu_memory import MemoryPointer
from .gpu_state import CUDARuntimeError, state

MOST_THREADS = 1024
LIMITS = ("gridDim.x", 2**31 - 1), ("gridDim.y", 65535), ("gridDim.z", 65535)
BLOCK_LIMITS = ("blockDim.x", 1024), ("blockDim.y", 1024), ("blockDim.z", 64)
SHARED_WITHOUT_ASKING, SHARED_AT_MOST = 48 << 10, 227 << 10
SCALARS = tuple(np.dtype(code).type for code in "?bhilqBHILQefdFD")


class RawModule:
    """CUDA C++ source; it is compiled when a function is asked for, as CuPy does."""

    def __init__(self, code: str | None = None, *, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        if not isinstance(code, str) or not isinstance(options, tuple) or backend != "nvrtc":
            raise TypeError("the stand-in takes source code, a tuple of options, and the backend 'nvrtc'")
        self.code = code
        self.options = options
        self._functions: dict[str, RawKernel] = {}

    def get_function(self, name: str) -> RawKernel:
        try:
            kernels = compiled(self.code, self.options)
        except CompileError as error:
            raise CompileException(str(error)) from None
        if name not in kernels:
            raise CUDADriverError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        return self._functions.setdefault(name, RawKernel(kernels[name]))

    def compile(self, log_stream: Any = None) -> None:
        try:
            compiled(self.code, self.options)
        except CompileError as error:
            raise CompileException(str(error)) from None


class CompileException(Exception):  # noqa: N818 - CuPy's name
    """The source was not compiled."""


class CUDADriverError(RuntimeError):
    """An error of the CUDA driver."""


class RawKernel:
    """A kernel; called with grid, block and arguments."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.name = kernel.name
        self.max_dynamic_shared_size_bytes = SHARED_WITHOUT_ASKING

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        kernel = self._kernel
        grid, block = _three("grid", grid), _three("block", block)
        for (name, most), size in zip(LIMITS + BLOCK_LIMITS, grid + block, strict=True):
            if size > most:
                raise CUDADriverError(
                    f"CUDA_ERROR_INVALID_VALUE: invalid argument: kernel {self.name}: {name} is {size}, at most {most}"
                )
        threads = block[0] * block[1] * block[2]
        if threads > min(kernel.most_threads, MOST_THREADS):
            raise CUDADriverError(
                f"CUDA_ERROR_INVALID_VALUE: invalid argument: kernel {self.name}: {threads} threads in a block, "
                f"at most {kernel.most_threads}"
            )
        if not 0 <= shared_mem <= min(self.max_dynamic_shared_size_bytes, SHARED_AT_MOST):
            raise CUDADriverError(
                f"CUDA_ERROR_INVALID_VALUE: invalid argument: kernel {self.name}: {shared_mem} bytes of shared memory"
            )
        if len(args) != len(kernel.parameters):
            raise TypeError(f"kernel {self.name}: {len(kernel.parameters)} parameters, {len(args)} arguments")
        values = [
            _value(f"kernel {self.name}, argument {i}", argument, parameter)
            for i, (argument, parameter) in enumerate(zip(args, kernel.parameters, strict=True))
        ]
        used = [argument for argument in args if isinstance(argument, ndarray)]
        blocks = weakref.WeakSet(argument._memory.block for argument in used)

        def launch() -> None:
            try:
                kernel.launch(grid, block, values)
                for lent in blocks:
                    lent.check()
            except RuntimeError as error:
                raise CUDARuntimeError(700, "cudaErrorIllegalAddress", str(error)) from None

        recording = state.recording()
        state.refuse_null_stream()
        if recording is None:
            launch()
        else:
            recording.uses(used)
            recording.actions.append(launch)


def _three(name: str, sizes: Any) -> tuple[int, int, int]:
    if not isinstance(sizes, tuple) or not all(isinstance(size, int | np.integer) for size in sizes):
        raise TypeError(f"{name}: expected a tuple of integers, got {sizes!r}")
    x, y, z = (max(int(size), 1) for size in (*sizes, 1, 1)[:3])  # as CuPy does: no launch is empty
    return x, y, z


def _value(where: str, argument: Any, parameter: Parameter) -> Any:
    """Return an argument as ctypes has it, once it fits its parameter."""
    kind, size = parameter.kind.decode(), parameter.size
    if argument is None or isinstance(argument, ndarray | MemoryPointer):
        return ctypes.c_void_p(_address(where, argument, kind, parameter))
    if isinstance(argument, np.ndarray):
        if argument.size != 1:
            raise TypeError(
                f"{where}: You are trying to pass a numpy.ndarray of shape {argument.shape} as a kernel parameter. "
                "Only numpy.ndarrays of size one can be passed by value. If you meant to pass a pointer to __global__ "
                "memory, you need to pass a cupy.ndarray instead."
            )
        scalar = argument.reshape(())
    elif isinstance(argument, int):
        scalar = np.asarray(argument, np.int64)
    elif isinstance(argument, float):
        scalar = np.asarray(argument, np.float64)
    elif isinstance(argument, (*SCALARS, np.void)):
        scalar = np.asarray(argument)
    else:
        raise TypeError(f"{where}: Unsupported type {type(argument)}")
    given = {"b": "i", "i": "i", "u": "i", "f": "f", "V": "s"}.get(scalar.dtype.kind)
    if kind == "p" and given == "i" and size == scalar.dtype.itemsize:
        given = "p"  # an address
    if given != kind or scalar.dtype.itemsize != size:
        expected = {"i": "an integer", "f": "a floating-point number", "s": "a structure", "p": "a pointer"}[kind]
        raise TypeError(f"{where}: expected {expected} of {size} bytes, got {argument!r} of type {scalar.dtype}")
    return (ctypes.c_char * size).from_buffer_copy(scalar.tobytes())


def _address(where: str, argument: Any, kind: str, parameter: Parameter) -> int:
    if kind != "p":
        raise TypeError(f"{where}: expected a value, got {'an array' if argument is not None else None}")
    if argument is None:
        return 0
    if isinstance(argument, MemoryPointer):
        return argument.ptr
    check_device(argument)
    of, of_size, dtype = parameter.of.decode(), parameter.of_size, argument.dtype
    own = {"b": "i", "i": "i", "u": "i", "f": "f", "V": "s"}.get(dtype.kind)
    fits = of == "v" or (of == "s" and of_size % dtype.itemsize == 0) or (of == own and of_size == dtype.itemsize)
    if not fits:
        kinds = {"i": "integers", "f": "floating-point numbers", "s": "structures", "p": "pointers"}
        raise TypeError(f"{where}: expected an array of {kinds[of]} of {of_size} bytes, got an array of {dtype}")
    return argument._host.ctypes.data
