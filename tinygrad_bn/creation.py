"""Making tensors: from values, from shapes, from random numbers, from other libraries' arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .backend import Device, Generator, default_generator, device_of, dlpack, fed, get_device
from .backend.capturing import refuse_host_array, refuse_host_operand
from .checks import as_index, as_number, as_shape
from .dtypes import as_dtype, bfloat16
from .errors import ArgumentError, DeviceError, DTypeError, explain
from .tensor import Tensor

DeviceLike = str | Device | None

# DLPack's device types: kDLCPU and kDLCUDAHost; kDLCUDA and kDLCUDAManaged.
_HOST_MEMORY, _CUDA_MEMORY = (1, 3), (2, 13)


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return a new Tensor with a copy of the data; arguments as in `Tensor`.

    >>> tensor([1, 2, 3]).dtype
    dtype('float32')
    """
    refuse_host_array(data)
    return Tensor(data, dtype=dtype, device=device, requires_grad=requires_grad, name=name)


def from_numpy(array: np.ndarray) -> Tensor:
    """Return a tensor that shares an array's memory; do not write into the array while a graph needs it."""
    refuse_host_array(array)
    return from_array(array)


def from_array(array: Any) -> Tensor:
    """Return a tensor that shares the memory of an array of any known device."""
    refuse_host_array(array)
    device = device_of(array)
    if device is None:
        raise DTypeError(explain("from_array", "an array of a known device", type(array).__name__, "use tensor(...)"))
    if as_dtype("from_array", array.dtype) != array.dtype:
        raise DTypeError(
            explain("from_array", "the machine's byte order", str(array.dtype), "use tensor(...), which copies")
        )
    result = Tensor.__new__(Tensor)
    result._set(array, device)
    return result


def from_dlpack(source: Any) -> Tensor:
    """Return a tensor that shares the memory of any object that speaks DLPack (PyTorch, JAX, CuPy, ...).

    On a GPU it is ready for the current stream: the library that the object is from sees to that.

    Raises:
        DTypeError: it is no such object, or has no numbers that a tensor can have.
        DeviceError: it lives where no tensor can.
    """
    if not hasattr(source, "__dlpack__") or not hasattr(source, "__dlpack_device__"):
        raise DTypeError(explain("from_dlpack", "an object with __dlpack__", type(source).__name__))
    try:
        kind, index = source.__dlpack_device__()
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise DeviceError(explain("from_dlpack", "memory that can be shared", str(error))) from error
    if int(kind) not in (*_HOST_MEMORY, *_CUDA_MEMORY):
        raise DeviceError(explain("from_dlpack", "memory of the CPU or of CUDA", f"DLPack's device type {int(kind)}"))
    xp = get_device(f"cuda:{index}" if int(kind) in _CUDA_MEMORY else "cpu").use()
    exporter = dlpack.Exporter(source)
    try:
        array = xp.from_dlpack(exporter)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise DTypeError(explain("from_dlpack", "an array of plain numbers, without a graph", str(error))) from error
    refuse_host_operand(array)
    as_dtype("from_dlpack", array.dtype)  # raises if it is none of ours
    return from_array(array.view(bfloat16("from_dlpack")) if exporter.is_bfloat16 else array)


def full(
    shape: Any, value: float, *, dtype: Any = "float32", device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of one value."""
    return _filled("full", (shape,), value, dtype, device, requires_grad)


def zeros(*shape: Any, dtype: Any = "float32", device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Return zeros.

    >>> zeros(2, 3).shape
    (2, 3)
    """
    return _filled("zeros", shape, 0, dtype, device, requires_grad)


def ones(*shape: Any, dtype: Any = "float32", device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Return ones."""
    return _filled("ones", shape, 1, dtype, device, requires_grad)


def zeros_like(other: Tensor, *, requires_grad: bool = False) -> Tensor:
    """Return zeros in another tensor's shape and dtype, on its device."""
    return _like("zeros_like", other, 0, requires_grad)


def ones_like(other: Tensor, *, requires_grad: bool = False) -> Tensor:
    """Return ones in another tensor's shape and dtype, on its device."""
    return _like("ones_like", other, 1, requires_grad)


def _like(where: str, other: Tensor, value: float, requires_grad: bool) -> Tensor:
    if not isinstance(other, Tensor):
        raise DTypeError(explain(where, "a Tensor", type(other).__name__))
    return _filled(where, other.shape, value, other.dtype, other.device, requires_grad)


def _filled(
    where: str, shape: Sequence[Any], value: float, dtype: Any, device: DeviceLike, requires_grad: bool
) -> Tensor:
    lengths = as_shape(where, shape, minimum=0)
    number, wanted = as_number(where, "value", value), as_dtype(where, dtype)
    target = get_device(device)
    try:
        with np.errstate(all="ignore"):
            array = target.use().full(lengths, number, dtype=wanted)
    except (ValueError, OverflowError) as error:
        raise ArgumentError(explain(where, f"a value that fits into {wanted}", f"{value!r} ({error})")) from error
    return from_array(array).requires_grad_(requires_grad)


def arange(*bounds: float, dtype: Any = None, device: DeviceLike = None) -> Tensor:
    """Return evenly spaced numbers, as `range`: int64 for integers, float32 otherwise."""
    numbers = [as_number("arange", "each bound", b) for b in bounds]
    if not 1 <= len(numbers) <= 3 or (len(numbers) == 3 and numbers[2] == 0):
        raise ArgumentError(explain("arange", "stop, or start, stop and a step other than 0", f"arange{bounds}"))
    values = np.arange(*numbers)
    default = values.dtype if values.dtype.kind == "i" else "float32"
    return Tensor(values, dtype=default if dtype is None else dtype, device=device)


def eye(n: int, *, dtype: Any = "float32", device: DeviceLike = None) -> Tensor:
    """Return the identity matrix of n rows."""
    return Tensor(np.eye(as_index("eye", "n", n, minimum=0)), dtype=dtype, device=device)


def randn(
    *shape: Any,
    generator: Generator | None = None,
    dtype: Any = "float32",
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return values from the standard normal distribution, drawn on the host."""
    lengths, source = as_shape("randn", shape, minimum=0), generator or default_generator
    return _drawn("randn", lambda: source.normal(lengths), dtype, device, requires_grad)


def rand(
    *shape: Any,
    generator: Generator | None = None,
    dtype: Any = "float32",
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return values uniform in [0, 1), drawn on the host."""
    lengths, source = as_shape("rand", shape, minimum=0), generator or default_generator
    return _drawn("rand", lambda: source.uniform(lengths), dtype, device, requires_grad)


def _drawn(where: str, draw: Callable[[], np.ndarray], dtype: Any, device: DeviceLike, requires_grad: bool) -> Tensor:
    wanted = as_dtype(where, dtype)
    with np.errstate(all="ignore"):  # a value too large for the dtype becomes infinite
        array = fed(get_device(device), lambda: draw().astype(wanted))
    return from_array(array).requires_grad_(requires_grad)
