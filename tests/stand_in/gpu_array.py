"""Arrays of an emulated GPU: they know their device and memory, and are computed by NumPy.

While the current stream is captured nothing is computed but what results look like; the work is recorded. NumPy's own
functions are called for that with throw-away memory, so that shapes, dtypes and errors are the real ones.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .array import StandInArray, plain
from .gpu_memory import Memory, MemoryPointer, allocated, is_pinned
from .gpu_state import not_while_capturing, state
from .gpu_streams import Device

SUPPORTED = "?bhilqBHILQefdFD"
LEFT_EMPTY = {np.empty, np.empty_like}
FROM_HOST = {np.array, np.asarray, np.ascontiguousarray}
CUBLAS = {np.matmul, np.dot, np.tensordot, np.einsum, operator.matmul, operator.imatmul, np.ndarray.dot}
# What CuPy reads on the host in the middle of it, or leaves to a library that waits for the GPU.
READ_BY_THE_HOST = {np.nonzero, np.flatnonzero, np.unique, np.bincount, np.sort, np.argsort, np.ndarray.nonzero}
READ_BY_THE_HOST |= {np.ndarray.sort, np.ndarray.argsort}
MOST_CONCATENATED = 8
"""Of more arrays of one dtype CuPy copies a table of addresses to the GPU."""
# Results lie in memory as the input does; all others have CuPy's one order, C.
ORDER_KEPT = {np.empty_like, np.zeros_like, np.ones_like, np.full_like, np.array, np.asarray}
ORDER_KEPT |= {np.ndarray.astype, np.ndarray.copy}
VIEWS = {
    operator.getitem,
    np.reshape,
    np.transpose,
    np.swapaxes,
    np.moveaxis,
    np.squeeze,
    np.expand_dims,
    np.broadcast_to,
    np.ravel,
    np.split,
    np.lib.stride_tricks.as_strided,
    np.asarray,
    np.ascontiguousarray,
    np.ndarray.reshape,
    np.ndarray.transpose,
    np.ndarray.swapaxes,
    np.ndarray.squeeze,
    np.ndarray.ravel,
    np.ndarray.view,
    np.ndarray.astype,
}


class ndarray(StandInArray):  # noqa: N801 - CuPy's name
    """An array of an emulated GPU."""

    __slots__ = ("_memory", "base")

    def __init__(self, host: np.ndarray, memory: Memory, base: ndarray | None = None) -> None:
        super().__init__(host)
        self._memory = memory
        self.base = base

    @property
    def device(self) -> Device:
        return Device(self._memory.device_id)

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(self._memory, self._host.ctypes.data - self._memory.ptr)

    def get(self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True) -> Any:
        if state.recording() is not None or (stream is not None and stream._recording is not None):
            raise not_while_capturing()
        if out is None:
            return np.array(self._host, order=order)  # type: ignore[call-overload]
        if out.dtype != self.dtype or out.shape != self.shape:
            raise ValueError("Shape or dtype mismatch")
        out[...] = self._host
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self.flags.c_contiguous or self.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        recording = state.recording() if stream is None else stream._recording
        state.refuse_null_stream(stream)
        if recording is None:
            self._host[...] = arr
        elif not is_pinned(arr):
            raise not_while_capturing()
        else:
            host = self._host
            recording.uses([self])
            recording.actions.append(lambda: np.copyto(host, arr))

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __index__(self) -> int:
        return operator.index(self.get())

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self._memory.device_id

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        if not (stream is None or (isinstance(stream, int) and (stream > 0 or stream == -1))):
            raise ValueError(f"stream {stream!r} is none of CUDA's in DLPack")
        source = self.get() if dl_device is not None and tuple(dl_device) == (1, 0) else self._host
        return source.__dlpack__(max_version=max_version, copy=copy)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "strides": None if self.flags.c_contiguous else self.strides,
            "data": (self._host.ctypes.data, False),
            "version": 3,
            "stream": 1,
        }

    @classmethod
    def _compute(cls, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inputs = list(arrays_in((args, kwargs)))
        if function is not np.ndarray.copy:  # copies to the current device
            for array in inputs:
                check_device(array)
        if function in FROM_HOST and args and isinstance(args[0], np.ndarray | list | tuple | np.generic):
            return _from_host(function, args, kwargs)
        recording = state.recording()
        state.refuse_null_stream()
        if recording is not None:
            _refuse_in_capture(function, args)
        hosts, options = plain(cls, args), plain(cls, kwargs)
        with np.errstate(all="ignore"):
            if recording is None or function in VIEWS or function in LEFT_EMPTY:
                result = function(*hosts, **options)
            else:
                result = function(*hosts, **{k: v.copy() if k == "out" else v for k, v in options.items()})
        taken = _taken(function, result, inputs, kwargs.get("out"))
        if recording is not None and function not in LEFT_EMPTY:
            _record(recording, function, hosts, options, taken, inputs)
        return taken

    @classmethod
    def _change(cls, function: Callable[..., Any], array: StandInArray, args: tuple[Any, ...]) -> None:
        for other in arrays_in((array, args)):
            check_device(other)
        recording = state.recording()
        state.refuse_null_stream()
        values = plain(cls, args)
        with np.errstate(all="ignore"):
            if recording is None:
                function(array._host, *values)
                return
            _refuse_in_capture(function, (array, *args))
            function(array._host.copy(), *values)
        host = array._host
        recording.uses(arrays_in((array, args)))
        recording.actions.append(_silently(lambda: function(host, *values)))


ndarray.__module__ = "cupy"


def arrays_in(value: Any) -> Iterator[ndarray]:
    """Yield the arrays in arguments."""
    if isinstance(value, ndarray):
        yield value
    elif isinstance(value, dict):
        yield from arrays_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from arrays_in(part)


def check_device(array: ndarray) -> None:
    """Raise if an array lies on another device than the current one; GPUs without access to each other are emulated."""
    if array._memory.device_id != state.thread.device:
        raise ValueError(
            f"The device where the array resides ({array._memory.device_id}) is different from the current device "
            f"({state.thread.device}). Peer access is unavailable between these devices."
        )


def new_array(like: np.ndarray, filled: bool) -> ndarray:
    """Return an array in new memory with the shape, dtype and order of axes of another, and its values if asked for."""
    if like.dtype.char not in SUPPORTED and like.dtype.name != "bfloat16":
        raise ValueError(f"Unsupported dtype {like.dtype}")
    memory = allocated(like.nbytes)
    outer_first = sorted(range(like.ndim), key=lambda axis: (-abs(like.strides[axis]), axis))
    flat = memory.block.bytes[memory.block.begin : memory.block.begin + like.nbytes].view(like.dtype)
    host = flat.reshape([like.shape[axis] for axis in outer_first]).transpose(np.argsort(outer_first))
    if filled:
        host[...] = like
    return ndarray(host, memory)


def _from_host(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ndarray:
    if any(True for _ in arrays_in(args)):
        raise NotImplementedError("the stand-in does not make an array from a list of arrays")
    options = {key: value for key, value in kwargs.items() if key != "copy"}
    host = function(*args, **options)
    if host.ndim:
        state.refuse_capture()
    made = new_array(host, state.recording() is None)
    if state.recording() is not None:
        made.fill(host[()])
    return made


def _refuse_in_capture(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if function in CUBLAS:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
    if function in READ_BY_THE_HOST or (function is np.where and len(args) == 1):
        raise not_while_capturing()
    if function in (np.concatenate, np.stack) and len(args[0]) > MOST_CONCATENATED:
        raise not_while_capturing()
    if function in (np.take, np.take_along_axis) and isinstance(args[1], list | tuple):
        raise not_while_capturing()
    if function in (operator.getitem, operator.setitem):
        indices = args[1] if isinstance(args[1], tuple) else (args[1],)
        if any(isinstance(i, list) or (isinstance(i, ndarray) and i.dtype == bool) for i in indices):
            raise not_while_capturing()


def _taken(function: Callable[..., Any], result: Any, inputs: list[ndarray], out: Any) -> Any:
    """Return NumPy's result as arrays of the GPU: an input itself, a view of one, or new memory."""
    if isinstance(result, tuple | list):
        return type(result)(_taken(function, part, inputs, out) for part in result)
    if not isinstance(result, np.ndarray | np.generic):
        return result
    if out is not None:
        return out
    if isinstance(result, np.ndarray):
        for array in inputs:
            if result is array._host:
                return array
            if np.may_share_memory(result, array._host):
                return ndarray(result, array._memory, array if array.base is None else array.base)
    if function not in ORDER_KEPT:
        result = np.ascontiguousarray(result).reshape(result.shape)  # a result without axes would get one
    return new_array(np.asarray(result), function not in LEFT_EMPTY and state.recording() is None)


def _record(
    recording: Any, function: Callable[..., Any], hosts: Any, options: Any, taken: Any, inputs: list[ndarray]
) -> None:
    """Note that results which are not views are to be computed."""
    several = isinstance(taken, tuple | list)
    known = {id(array._memory) for array in inputs}
    targets = [
        None if id(part._memory) in known and "out" not in options else part._host
        for part in (taken if several else [taken])
        if isinstance(part, ndarray)
    ]
    if all(target is None for target in targets):
        return
    recording.uses(inputs, taken if several else [taken])

    def action() -> None:
        result = function(*hosts, **options)
        for target, part in zip(targets, result if several else [result], strict=True):
            if target is not None and part is not target:
                np.copyto(target, part)

    recording.actions.append(_silently(action))


def _silently(action: Callable[[], Any]) -> Callable[[], None]:
    def silent() -> None:
        with np.errstate(all="ignore"):
            action()

    return silent
