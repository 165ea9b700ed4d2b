"""Mixed precision: inside `autocast`, operations take their operands in the dtype that suits them.

Which dtype that is, each operation says itself (`Op.precision`): products take 16 bits, functions and sums whose values
leave the range of 16 bits take float32, and all others what they are given. The casts are operations like any others,
and gradients go back through them: those of parameters arrive in float32, in which the parameters stay.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..backend import recording
from ..backend.capturing import depends_on
from ..checks import as_bool
from ..dtypes import as_dtype, is_half
from ..errors import DTypeError, explain
from .modes import inside
from .value import Value

_Function = TypeVar("_Function", bound=Callable[..., Any])

_NO_DEVICE = "leave out the device, as in autocast('bfloat16'): it holds on all of them"


class autocast:  # noqa: N801 - used like a keyword, and PyTorch's name
    """Compute in mixed precision inside: products in 16 bits, what needs range or precision in float32.

    As `torch.autocast`, with the operations that PyTorch chooses on GPUs, on every device. Parameters stay float32, and
    their gradients are float32. A parameter is cast once: again only after it has changed, or in another region. The
    backward pass belongs outside; it computes in the dtypes that the forward pass chose, wherever it is called. Also
    a decorator.

    Args:
        dtype: "float16", whose small range wants `GradScaler`, or "bfloat16".
        enabled: False makes a region inside another one compute in what operations are given.

    Raises:
        DTypeError: another dtype.
        MissingDependencyError: bfloat16 without the package ml_dtypes.

    >>> import tinygrad_bn as tg
    >>> weight, x = tg.ones(3, 2, requires_grad=True), tg.ones(1, 2)
    >>> with tg.autocast("float16"):
    ...     y = tg.functional.linear(x, weight)
    ...     total = y.sum()
    >>> total.backward()
    >>> y.dtype, total.dtype, weight.grad.dtype
    (dtype('float16'), dtype('float32'), dtype('float32'))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Refuse PyTorch's form with a device, which would be Python's error about an argument that is given twice."""
        if "device_type" in kwargs or (args and "dtype" in kwargs):
            raise DTypeError(explain("autocast", "a dtype alone", f"{(*args, *kwargs)!r}", _NO_DEVICE))
        return super().__new__(cls)

    def __init__(self, dtype: Any = "float16", enabled: bool = True) -> None:
        self._dtype = _as_half(dtype)
        self._enabled = as_bool("autocast", "enabled", enabled)
        self._tokens: list[Token[_Region | None]] = []

    def __enter__(self) -> None:
        region = autocast_region.get() if self._enabled else None
        if self._enabled and (region is None or region.dtype != self._dtype):
            region = _Region(self._dtype)
        self._tokens.append(autocast_region.set(region))

    def __exit__(self, *_: object) -> None:
        autocast_region.reset(self._tokens.pop())

    def __call__(self, function: _Function) -> _Function:
        """Return the function, each of its calls in a region of its own."""
        return inside(lambda: autocast(self._dtype, self._enabled), "autocast", function)


def _as_half(dtype: Any) -> np.dtype[Any]:
    """Return float16 or bfloat16, or raise DTypeError with what is meant by something else."""
    try:
        result = None if dtype is None else as_dtype("autocast", dtype)  # to NumPy, None is float64
    except DTypeError:
        result = None
    if result is not None and is_half(result):
        return result
    remedy = None
    if inspect.isroutine(dtype):
        remedy = "write @tg.autocast() with parentheses"
    elif isinstance(dtype, str) and dtype.startswith(("cpu", "cuda")):
        remedy = _NO_DEVICE
    raise DTypeError(explain("autocast", "'float16' or 'bfloat16'", repr(dtype), remedy))


class _Cast(NamedTuple):
    """A parameter, what it was when it was cast, and the array of the result."""

    parameter: Value
    array: Any
    version: int
    under_way: Any
    values: Any

    def holds(self) -> bool:
        """Return whether the values are still those of the parameter."""
        return (
            self.array is self.parameter.data
            and self.version == self.parameter.version.count
            and self.under_way is recording()  # a captured step casts for itself, and again at each replay
        )


class _Region:
    """What holds inside one `autocast`, and in the same ones within it.

    Args:
        dtype: float16 or bfloat16.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._casts: dict[int, _Cast] = {}

    def operands(self, precision: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return an operation's inputs in the dtype of its precision; float64, numbers and integers as they are."""
        cast = self._half if precision == "half" else _float32
        return tuple(cast(value) if isinstance(value, Value) else value for value in inputs)

    def _half(self, tensor: Value) -> Any:
        dtype = tensor.data.dtype
        if dtype == self.dtype or not (is_half(dtype) or dtype == np.float32):
            return tensor
        if tensor._node is not None or not tensor._requires_grad:
            return tensor.astype(self.dtype)
        found = self._casts.get(id(tensor))
        if found is not None and found.holds():
            # Of its own in the graph: each backward pass uses up the nodes that it has gone through.
            return tensor.astype_again(found.values)
        result = tensor.astype(self.dtype)
        self._casts[id(tensor)] = _Cast(tensor, tensor.data, tensor.version.count, recording(), result.data)
        return result


def _float32(tensor: Value) -> Any:
    return tensor.astype("float32") if is_half(tensor.data.dtype) else tensor


autocast_region: ContextVar[_Region | None] = ContextVar("tinygrad_bn.autocast", default=None)


def _dtype_in_force() -> np.dtype[Any] | None:
    region = autocast_region.get()
    return None if region is None else region.dtype


depends_on(_dtype_in_force)


def autocast_operands(precision: str, *operands: Any) -> tuple[Any, ...]:
    """Return operands as `autocast` wants them for a precision: for functions that check dtypes before they apply."""
    region = autocast_region.get()
    return operands if region is None else region.operands(precision, operands)


def is_autocast_enabled() -> bool:
    """Return whether `autocast` is in force here."""
    return autocast_region.get() is not None
