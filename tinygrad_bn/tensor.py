"""Tensor: an array on a device, and its place in the autograd graph. Methods follow NumPy's names."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import autograd, ops
from .autograd import HookHandle, Node, Value, Version, apply, check_in_place
from .backend import Device, device_of, dlpack, get_device, get_gpu
from .backend.capturing import (
    may_show_values,
    refuse_host_array,
    refuse_host_operand,
    refuse_inside,
    refuse_reading,
)
from .checks import as_index, as_number, as_shape, normalize_axes, normalize_axis
from .conversion import as_array
from .dtypes import as_dtype, is_bfloat16, is_floating, is_half, names_dtype
from .errors import ArgumentError, DTypeError, GraphError, MemoryLayoutError, OutOfBoundsError, ShapeError, explain
from .indexing import names_by_bools, plain_index

Axis = int | Sequence[int] | None


class Tensor(Value):
    """An n-dimensional array that remembers how it was computed.

    Args:
        data: numbers, nested sequences of numbers, an array of a known device, or a Tensor; always copied. Python
            numbers become float32 (bools stay bool); arrays and NumPy scalars keep their dtype.
        dtype: dtype to convert to: float16, bfloat16, float32, float64, an integer dtype, or bool.
        device: where it shall live; by default where a Tensor or a GPU's array lives already, for Python and NumPy data
            the default device (`set_default_device`).
        requires_grad: whether `backward` shall collect a gradient in `.grad`.
        name: shown in drawings and messages.

    Raises:
        DTypeError: the data are no numbers, or integers shall require a gradient.
        ShapeError: the nested sequences are ragged.

    >>> Tensor([[1, 2], [3, 4]]) * 2.0
    Tensor(shape=(2, 2), dtype=float32, device=cpu,
           [[2., 4.],
            [6., 8.]])
    """

    __slots__ = ()

    __array_ufunc__ = None  # so that `array * tensor` is the tensor's multiplication
    __array_priority__ = 1000

    def __init__(
        self,
        data: Any,
        *,
        dtype: Any = None,
        device: str | Device | None = None,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> None:
        refuse_host_array(data)
        with np.errstate(all="ignore"):  # a value too large for the dtype becomes infinite
            source, array = as_array("tensor", data, None if dtype is None else as_dtype("tensor", dtype))
        placed = isinstance(data, Value) or source.xp is not np
        target = source if device is None and placed else get_device(device)
        if target is not source:
            array = target.fetch(array, source)
        self._set(array, target)
        self.name = name
        if requires_grad:
            self.requires_grad = True

    def _set(self, array: Any, device: Device) -> None:
        self.data = array
        self.device = device
        self._grad = None
        self.name = None
        self._node = None
        self._leaf = None
        self._version = None
        self._hooks = None
        self._requires_grad = False

    def wrap(
        self,
        array: Any,
        node: Node | None = None,
        version: Version | None = None,
        requires_grad: bool = False,
        device: Device | None = None,
    ) -> Tensor:
        """Return a new tensor around an array of a device (this tensor's by default), without copying it."""
        result = Tensor.__new__(Tensor)
        result._set(array, device or self.device)
        result._node = node
        result._version = version
        result._requires_grad = requires_grad
        return result

    # Properties

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        shape: tuple[int, ...] = self.data.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the elements (NumPy's)."""
        dtype: np.dtype[Any] = self.data.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.data.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self.data.size)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The tensor with its axes in reverse order."""
        return self.transpose()

    @property
    def is_leaf(self) -> bool:
        """Whether it was given rather than computed from a tensor that requires grad."""
        return self._node is None or not self._requires_grad

    # Reading the values

    def numpy(self) -> np.ndarray:
        """Return the values as a NumPy array: on the CPU a read-only view, from a GPU a copy.

        Read-only, because a change would go unnoticed by the graph; `np.array(tensor)` gives a copy to write in.
        """
        refuse_reading()
        array = self.device.to_host(self.data)
        if array is self.data:
            array = array.view()
            array.flags.writeable = False
        return array

    def item(self) -> Any:
        """Return the only element as a Python number."""
        if self.size != 1:
            raise ShapeError(explain("item", "one element", f"shape {self.shape}", "index first, or use tolist()"))
        refuse_reading()
        return self.data.item()

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if copy or (dtype is not None and array.dtype != dtype):
            if copy is False:
                raise ArgumentError(explain("__array__", f"dtype {array.dtype} where copy=False", str(dtype)))
            with np.errstate(all="ignore"):
                return array.astype(dtype or array.dtype, copy=True)
        return array

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        refuse_reading("one that another library is given")
        self._check_shareable("__dlpack__")
        if not copy and any(stride < 0 for stride in self.data.strides):  # PyTorch ends the process at the sight of one
            expected, got = "memory that no axis runs through backwards", f"strides {self.data.strides}"
            raise MemoryLayoutError(explain("__dlpack__", expected, got, "copy() it"))
        request = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        given = {name: value for name, value in request.items() if value is not None}  # arrays may know fewer names
        return dlpack.exported(self.data, is_bfloat16(self.dtype), **given)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    @property
    def __cuda_array_interface__(self) -> Any:
        interface = self.data.__cuda_array_interface__  # on the CPU there is none, so the tensor has none either
        self._check_shareable("__cuda_array_interface__")
        return interface

    def _check_shareable(self, where: str) -> None:
        if self.requires_grad:
            expected, remedy = "a tensor that needs no gradient", "use detach() first"
            raise GraphError(explain(where, expected, "one that does", remedy))

    def __repr__(self) -> str:
        notes = [f"shape={self.shape}", f"dtype={self.dtype}", f"device={self.device}"]
        if self.name:
            notes.append(f"name={self.name!r}")
        if self._node is not None:
            notes.append(f"op={self._node.op.name}")
        if self.requires_grad:
            notes.append("requires_grad=True")
        if not may_show_values():
            return f"Tensor({', '.join(notes)})"
        array = self.numpy()
        if is_bfloat16(array.dtype):
            array = array.astype("float32")  # NumPy writes no points after whole numbers of a dtype not its own
        values = np.array2string(array, separator=", ", threshold=100, edgeitems=3, prefix=" " * 7)
        return f"Tensor({', '.join(notes)},\n       {values})"

    def __format__(self, specification: str) -> str:
        """Return the only element written as asked for, as in f"{loss:.2f}"; the same as `str` where nothing is."""
        if specification:
            return format(self.item(), specification)
        may_show_values()  # `str` is asked by this very function, and would not know that it is the user who asks
        return str(self)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise DTypeError(explain("len", "a tensor with at least one axis", "a tensor without axes"))
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                explain(
                    "bool",
                    "one element",
                    f"shape {self.shape}",
                    "use any() or all(), or compare with `is None`",
                )
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(explain("index", "an integer tensor", str(self.dtype)))
        return int(self.item())

    __hash__ = object.__hash__

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise GraphError(explain("copying", "a leaf tensor", "a computed one", "use detach() first"))
        return _rebuild, (type(self), self.numpy(), str(self.device), self.requires_grad, self.name)

    # Gradients

    def backward(self, gradient: Any = None, *, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add this tensor's gradient with respect to every leaf to the leaf's `.grad`.

        Args:
            gradient: the gradient to start from, in this tensor's shape; may be left out for a single element.
            retain_graph: keep the graph for another pass.
            create_graph: record the pass, for gradients of gradients.
        """
        autograd.backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def detach(self) -> Tensor:
        """Return the same values (shared memory) outside the graph."""
        return self.wrap(self.data, version=self.version)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` of a leaf, and return it."""
        self.requires_grad = requires_grad
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call `hook` with this tensor's gradient in every backward pass; what it returns replaces the gradient.

        Raises:
            GraphError: the tensor does not require grad.
        """
        if not self.requires_grad:
            raise GraphError(explain("register_hook", "a tensor that requires grad", f"{self!r}"))
        if not callable(hook):
            raise DTypeError(explain("register_hook", "a function of the gradient", repr(hook)))
        owner = self if self._node is None else self._node
        hooks = owner._hooks if isinstance(owner, Tensor) else owner.hooks
        if hooks is None:
            hooks = {}
            if isinstance(owner, Tensor):
                owner._hooks = hooks
            else:
                owner.hooks = hooks
        return HookHandle(hooks, hook)

    def retain_grad(self) -> None:
        """Collect `.grad` also though this tensor is not a leaf."""
        if not self.requires_grad:
            raise GraphError(explain("retain_grad", "a tensor that requires grad", f"{self!r}"))
        if self._node is not None:
            self._node.retain_grad = weakref.ref(self)

    def assign_(self, values: Any) -> Tensor:
        """Copy values into this tensor's memory, in place; returns the tensor.

        Raises:
            GraphError: the tensor requires grad and operations are being recorded.
            ShapeError: the values' shape does not broadcast to this tensor's.
        """
        check_in_place("assign_", self)
        self[...] = values
        return self

    # Conversion

    def to(self, device: Any = None, dtype: Any = None) -> Tensor:
        """Return the tensor on another device, in another dtype, or both (itself, if it is so already).

        Args:
            device: a device or its name, None for where it is; or, as in PyTorch, a dtype alone: `x.to("bfloat16")`.
            dtype: as in `astype`; None leaves it as it is.

        Raises:
            DeviceError: the device is unknown, or cannot be used here.
            DTypeError: it is no dtype that a tensor may have.
        """
        if dtype is None and names_dtype(device):
            return self.astype(device)
        wanted = self.dtype if dtype is None else as_dtype("to", dtype)
        moved = self if device is None else self._moved(get_device(device))
        return moved.astype(wanted)

    def _moved(self, target: Device) -> Tensor:
        if target is self.device:
            return self
        if self.device.name == "cpu":
            got = f"one on {self.device} that is moved to {target}"
            refuse_inside("tensors on the device that the step computes on", got, "move it before the call")
        return self._apply(ops.ToDevice(self.device, target))

    def cpu(self) -> Tensor:
        """Return the tensor on the CPU."""
        refuse_reading()
        return self.to("cpu")

    def cuda(self, device: str | int | Device | None = None) -> Tensor:
        """Return the tensor on a GPU, given by name or number.

        None means the default device where it is a GPU, and else the first GPU.
        """
        return self.to(get_gpu(device))

    def astype(self, dtype: Any) -> Tensor:
        """Return the tensor in another dtype (itself, if it has it already)."""
        wanted = as_dtype("astype", dtype)
        return self if wanted == self.dtype else self._apply(ops.AsType(wanted))

    def astype_again(self, values: Any) -> Tensor:
        """Return the tensor in the dtype of an array that holds its values in it already."""
        return self._apply(ops.AsType(values.dtype, values))

    def copy(self) -> Tensor:
        """Return the same values in new memory; the gradient flows through."""
        return self._apply(ops.Copy())

    def alias(self) -> Tensor:
        """Return the same values in the same memory, as a node of its own in the graph."""
        return self._apply(ops.Alias())

    # Arithmetic

    def _apply(self, op: autograd.Op, *others: Any) -> Tensor:
        result: Tensor = apply(op, self, *others)
        return result

    def _binary(self, op: autograd.Op, other: Any, reflected: bool = False) -> Tensor:
        operand = _operand(other)
        if operand is NotImplemented:
            return NotImplemented  # type: ignore[no-any-return]  # Python's protocol for operators
        result: Tensor = apply(op, operand, self) if reflected else apply(op, self, operand)
        return result

    def _function(self, op: autograd.Op, other: Any) -> Tensor:
        return self._apply(op, as_operand(op.name, other))

    def __add__(self, other: Any) -> Tensor:
        return self._binary(ops.Add(), other)

    def __radd__(self, other: Any) -> Tensor:
        return self._binary(ops.Add(), other, reflected=True)

    def __sub__(self, other: Any) -> Tensor:
        return self._binary(ops.Subtract(), other)

    def __rsub__(self, other: Any) -> Tensor:
        return self._binary(ops.Subtract(), other, reflected=True)

    def __mul__(self, other: Any) -> Tensor:
        return self._binary(ops.Multiply(), other)

    def __rmul__(self, other: Any) -> Tensor:
        return self._binary(ops.Multiply(), other, reflected=True)

    def __truediv__(self, other: Any) -> Tensor:
        return self._binary(ops.Divide(), other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return self._binary(ops.Divide(), other, reflected=True)

    def __floordiv__(self, other: Any) -> Tensor:
        return self._binary(ops.FloorDivide(), other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return self._binary(ops.FloorDivide(), other, reflected=True)

    def __mod__(self, other: Any) -> Tensor:
        return self._binary(ops.Remainder(), other)

    def __rmod__(self, other: Any) -> Tensor:
        return self._binary(ops.Remainder(), other, reflected=True)

    def __pow__(self, other: Any) -> Tensor:
        return self._binary(ops.Power(), other)

    def __rpow__(self, other: Any) -> Tensor:
        return self._binary(ops.Power(), other, reflected=True)

    def __matmul__(self, other: Any) -> Tensor:
        operand = _operand(other)
        if not isinstance(operand, Tensor):
            return NotImplemented
        return _matmul(self, operand)

    def __rmatmul__(self, other: Any) -> Tensor:
        operand = _operand(other)
        if not isinstance(operand, Tensor):
            return NotImplemented
        return _matmul(operand, self)

    def __neg__(self) -> Tensor:
        return self._apply(ops.Negative())

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return self.abs()

    def __and__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("bitwise_and"), other)

    def __rand__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("bitwise_and"), other, reflected=True)

    def __or__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("bitwise_or"), other)

    def __ror__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("bitwise_or"), other, reflected=True)

    def __xor__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("bitwise_xor"), other)

    def __rxor__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("bitwise_xor"), other, reflected=True)

    def __invert__(self) -> Tensor:
        if is_floating(self.dtype):
            raise DTypeError(explain("~", "a bool or integer tensor", str(self.dtype)))
        return self._apply(ops.Step("invert"))

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._binary(ops.Compare("equal"), other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._binary(ops.Compare("not_equal"), other)

    def __lt__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("less"), other)

    def __le__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("less_equal"), other)

    def __gt__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("greater"), other)

    def __ge__(self, other: Any) -> Tensor:
        return self._binary(ops.Compare("greater_equal"), other)

    def matmul(self, other: Any) -> Tensor:
        """Return the matrix product, as `@`."""
        operand = as_operand("matmul", other)
        return _matmul(self, operand if isinstance(operand, Tensor) else Tensor(operand, device=self.device))

    # Functions of each element

    def exp(self) -> Tensor:
        """Return e to the power of each element."""
        return self._apply(ops.Exp())

    def expm1(self) -> Tensor:
        """Return exp(x) - 1, accurate near 0."""
        return self._apply(ops.Expm1())

    def log(self) -> Tensor:
        """Return the natural logarithm."""
        return self._apply(ops.Log())

    def log1p(self) -> Tensor:
        """Return log(1 + x), accurate near 0."""
        return self._apply(ops.Log1p())

    def sqrt(self) -> Tensor:
        """Return the square root."""
        return self._apply(ops.Sqrt())

    def rsqrt(self) -> Tensor:
        """Return 1 / sqrt(x)."""
        return self._apply(ops.Rsqrt())

    def abs(self) -> Tensor:
        """Return the absolute value; its derivative at 0 is 0."""
        return self._apply(ops.Abs())

    def sign(self) -> Tensor:
        """Return -1, 0 or 1; no gradient flows."""
        return self._apply(ops.Step("sign"))

    def floor(self) -> Tensor:
        """Return the largest integers not above the elements; no gradient flows."""
        return self._stepped("floor")

    def ceil(self) -> Tensor:
        """Return the smallest integers not below the elements; no gradient flows."""
        return self._stepped("ceil")

    def round(self) -> Tensor:
        """Return the nearest integers, halves to even; no gradient flows."""
        return self._stepped("rint")

    def _stepped(self, function: str) -> Tensor:
        return self._apply(ops.Step(function)) if is_floating(self.dtype) else self  # integers are whole already

    def isnan(self) -> Tensor:
        """Return where the elements are NaN."""
        return self._apply(ops.Step("isnan"))

    def isfinite(self) -> Tensor:
        """Return where the elements are neither infinite nor NaN."""
        return self._apply(ops.Step("isfinite"))

    def sin(self) -> Tensor:
        """Return the sine of angles in radians."""
        return self._apply(ops.Sin())

    def cos(self) -> Tensor:
        """Return the cosine of angles in radians."""
        return self._apply(ops.Cos())

    def tan(self) -> Tensor:
        """Return the tangent of angles in radians."""
        return self._apply(ops.Tan())

    def arcsin(self) -> Tensor:
        """Return the inverse sine, in radians."""
        return self._apply(ops.Arcsin())

    def arccos(self) -> Tensor:
        """Return the inverse cosine, in radians."""
        return self._apply(ops.Arccos())

    def arctan(self) -> Tensor:
        """Return the inverse tangent, in radians."""
        return self._apply(ops.Arctan())

    def arctan2(self, other: Any) -> Tensor:
        """Return the angle of the points (other, self), in radians."""
        return self._function(ops.ArcTan2(), other)

    def sinh(self) -> Tensor:
        """Return the hyperbolic sine."""
        return self._apply(ops.Sinh())

    def cosh(self) -> Tensor:
        """Return the hyperbolic cosine."""
        return self._apply(ops.Cosh())

    def tanh(self) -> Tensor:
        """Return the hyperbolic tangent."""
        return self._apply(ops.Tanh())

    def arcsinh(self) -> Tensor:
        """Return the inverse hyperbolic sine."""
        return self._apply(ops.Arcsinh())

    def arccosh(self) -> Tensor:
        """Return the inverse hyperbolic cosine."""
        return self._apply(ops.Arccosh())

    def arctanh(self) -> Tensor:
        """Return the inverse hyperbolic tangent."""
        return self._apply(ops.Arctanh())

    def erf(self) -> Tensor:
        """Return the error function."""
        return self._apply(ops.Erf())

    def clip(self, low: float | None = None, high: float | None = None) -> Tensor:
        """Limit the elements to [low, high]; None leaves a side open. The derivative at a limit is 1."""
        if low is None and high is None:
            raise ArgumentError(explain("clip", "low or high", "neither"))
        low = None if low is None else as_number("clip", "low", low)
        high = None if high is None else as_number("clip", "high", high)
        if low is not None and high is not None and not low <= high:
            raise ArgumentError(explain("clip", "low <= high", f"low={low}, high={high}"))
        fractional = isinstance(low, float) or isinstance(high, float)
        return (self._as_floating() if fractional else self)._apply(ops.Clip(low, high))

    def maximum(self, other: Any) -> Tensor:
        """Return the larger of two operands; where they are equal, each takes half of the gradient."""
        return self._function(ops.Maximum(), other)

    def minimum(self, other: Any) -> Tensor:
        """Return the smaller of two operands; where they are equal, each takes half of the gradient."""
        return self._function(ops.Minimum(), other)

    # Reductions

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the sum over one, several or (None) all axes."""
        return self._apply(ops.Sum(normalize_axes("sum", axis, self.ndim), keepdims))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the mean over axes; that of integers is float32."""
        axes = normalize_axes("mean", axis, self.ndim)
        return self._as_floating()._apply(ops.Mean(axes, keepdims))

    def var(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        """Return the variance over axes, in two passes; `ddof` is taken off the number of elements (NumPy's rule)."""
        return self._narrow(self._variance("var", axis, ddof, keepdims))

    def std(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        """Return the standard deviation over axes: the square root of `var`; where that is 0, no gradient flows."""
        variance = self._variance("std", axis, ddof, keepdims)
        constant = variance == 0.0
        return self._narrow(ops.where(constant, 0.0, ops.where(constant, 1.0, variance).sqrt()))

    def _variance(self, where: str, axis: Axis, ddof: int, keepdims: bool) -> Tensor:
        axes = normalize_axes(where, axis, self.ndim)
        x = self.astype("float32") if is_half(self.dtype) else self._as_floating()  # squares overflow early
        centered = x - x.mean(axis=axes, keepdims=True)
        variance = (centered * centered).mean(axis=axes, keepdims=keepdims)
        if as_number(where, "ddof", ddof) == 0:
            return variance
        count = math.prod(self.shape[d] for d in axes)
        return variance * (count / (count - ddof) if count > ddof else math.inf)

    def _narrow(self, result: Tensor) -> Tensor:
        return result.astype(self.dtype) if is_half(self.dtype) else result

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the maximum over axes; the first maximum takes the gradient."""
        return self._extremum("max", "argmax", axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the minimum over axes; the first minimum takes the gradient."""
        return self._extremum("min", "argmin", axis, keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Return the index of the first maximum along an axis, or (None) in the flattened tensor."""
        return self._arg_extremum("argmax", axis, keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Return the index of the first minimum along an axis, or (None) in the flattened tensor."""
        return self._arg_extremum("argmin", axis, keepdims)

    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return log(sum(exp(x))) over axes, without overflow."""
        axes = normalize_axes("logsumexp", axis, self.ndim)
        self._check_not_empty("logsumexp", axes)
        return self._apply(ops.LogSumExp(axes, keepdims))

    def any(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return whether any element is true (not 0), over axes."""
        return self._apply(ops.AnyAll("any", normalize_axes("any", axis, self.ndim), keepdims))

    def all(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return whether all elements are true (not 0), over axes."""
        return self._apply(ops.AnyAll("all", normalize_axes("all", axis, self.ndim), keepdims))

    def _as_floating(self) -> Tensor:
        return self if is_floating(self.dtype) else self.astype("float32")

    def _check_not_empty(self, where: str, axes: tuple[int, ...]) -> None:
        if any(self.shape[d] == 0 for d in axes):
            raise ShapeError(explain(where, "at least one element along the reduced axes", f"shape {self.shape}"))

    def _extremum(self, where: str, function: str, axis: Axis, keepdims: bool) -> Tensor:
        axes = normalize_axes(where, axis, self.ndim)
        self._check_not_empty(where, axes)
        kept = tuple(d for d in range(self.ndim) if d not in axes)
        shape = tuple(self.shape[d] for d in kept)
        count = math.prod(self.shape[d] for d in axes)
        flat = self.transpose((*kept, *axes)).reshape((*shape, count))
        index = flat._apply(ops.ArgExtremum(function, len(shape), keepdims=True))
        best = flat._apply(ops.TakeAlongAxis(len(shape)), index)
        return best.reshape(tuple(1 if d in axes else n for d, n in enumerate(self.shape)) if keepdims else shape)

    def _arg_extremum(self, function: str, axis: int | None, keepdims: bool) -> Tensor:
        if axis is None:
            self._check_not_empty(function, tuple(range(self.ndim)))
            index = self.reshape(-1)._apply(ops.ArgExtremum(function, 0, keepdims=False))
            return index.reshape((1,) * self.ndim) if keepdims else index
        number = normalize_axis(function, axis, self.ndim)
        self._check_not_empty(function, (number,))
        return self._apply(ops.ArgExtremum(function, number, keepdims))

    # Shape

    def reshape(self, *shape: Any) -> Tensor:
        """Return the elements in row-major order in another shape; one length may be -1."""
        wanted = as_shape("reshape", shape)
        known = 1
        for n in wanted:
            known *= n if n != -1 else 1
        unknown = wanted.count(-1)
        fits = unknown <= 1 and all(n >= -1 for n in wanted)
        if fits and unknown:
            fits = known > 0 and self.size % known == 0
            wanted = tuple(self.size // known if n == -1 else n for n in wanted) if fits else wanted
        elif fits:
            fits = known == self.size
        if not fits:
            raise ShapeError(explain("reshape", f"a shape of {self.size} elements", str(wanted)))
        return self._apply(ops.Reshape(wanted))

    def transpose(self, *axes: Any) -> Tensor:
        """Return the tensor with its axes in the given order, or (none given) reversed; NumPy's transpose."""
        order = as_shape("transpose", axes) if axes else tuple(reversed(range(self.ndim)))
        normalized = tuple(normalize_axis("transpose", a, self.ndim) for a in order)
        if sorted(normalized) != list(range(self.ndim)):
            raise ShapeError(explain("transpose", f"each of the {self.ndim} axes once", str(order)))
        return self._apply(ops.Transpose(normalized))

    def permute(self, *axes: Any) -> Tensor:
        """Return the tensor with its axes in the given order."""
        return self.transpose(*axes)

    def swapaxes(self, a: int, b: int) -> Tensor:
        """Return the tensor with two axes exchanged."""
        order = list(range(self.ndim))
        a, b = normalize_axis("swapaxes", a, self.ndim), normalize_axis("swapaxes", b, self.ndim)
        order[a], order[b] = order[b], order[a]
        return self.transpose(order)

    def flatten(self, start: int = 0, end: int = -1) -> Tensor:
        """Return the tensor with the axes from start to end (included) merged into one."""
        if self.ndim == 0:
            return self.reshape(1)
        first, last = normalize_axis("flatten", start, self.ndim), normalize_axis("flatten", end, self.ndim)
        if first > last:
            raise ShapeError(explain("flatten", "start <= end", f"start={start}, end={end}"))
        merged = 1
        for n in self.shape[first : last + 1]:
            merged *= n
        return self.reshape((*self.shape[:first], merged, *self.shape[last + 1 :]))

    def squeeze(self, axis: Axis = None) -> Tensor:
        """Return the tensor without the axes of length 1 (all of them, or those named)."""
        if axis is None:
            return self.reshape(tuple(n for n in self.shape if n != 1))
        axes = normalize_axes("squeeze", axis, self.ndim)
        for d in axes:
            if self.shape[d] != 1:
                raise ShapeError(explain("squeeze", f"length 1 along axis {d}", f"shape {self.shape}"))
        return self.reshape(tuple(n for d, n in enumerate(self.shape) if d not in axes))

    def unsqueeze(self, axis: int) -> Tensor:
        """Return the tensor with a new axis of length 1 at that position."""
        position = normalize_axis("unsqueeze", axis, self.ndim + 1)
        return self.reshape((*self.shape[:position], 1, *self.shape[position:]))

    def broadcast_to(self, *shape: Any) -> Tensor:
        """Return the tensor repeated to a shape, without copying."""
        return self._broadcast("broadcast_to", as_shape("broadcast_to", shape))

    def _broadcast(self, where: str, wanted: tuple[int, ...]) -> Tensor:
        try:
            fits = np.broadcast_shapes(self.shape, wanted) == wanted
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(explain(where, f"a shape that {self.shape} broadcasts to", str(wanted)))
        return self if wanted == self.shape else self._apply(ops.BroadcastTo(wanted))

    def expand(self, *shape: Any) -> Tensor:
        """Return the tensor repeated to a shape, without copying; -1 keeps an axis as it is."""
        wanted = as_shape("expand", shape)
        extra = len(wanted) - self.ndim
        if extra < 0 or any(n == -1 and i < extra for i, n in enumerate(wanted)):
            raise ShapeError(explain("expand", f"lengths for at least the {self.ndim} existing axes", str(wanted)))
        lengths = tuple(self.shape[i - extra] if n == -1 else n for i, n in enumerate(wanted))
        return self._broadcast("expand", lengths)

    def pad(self, pad_width: Any, value: float = 0.0) -> Tensor:
        """Add constant elements around the tensor.

        Args:
            pad_width: one number for all sides, or (before, after) for all axes, or one such pair per axis.
            value: the constant.
        """
        try:
            widths = np.broadcast_to(np.asarray(pad_width), (self.ndim, 2))
        except ValueError:
            widths = np.zeros((0, 2))
        if widths.shape != (self.ndim, 2) or widths.dtype.kind not in "iu" or (widths < 0).any():
            raise ArgumentError(
                explain("pad", f"integers >= 0: one, a pair, or {self.ndim} pairs", f"pad_width={pad_width!r}")
            )
        pairs = tuple((int(before), int(after)) for before, after in widths)
        return self._apply(ops.Pad(pairs, as_number("pad", "value", value)))

    def split(self, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
        """Return the tensor cut along an axis into equal sections, or before the given indices; NumPy's split."""
        d = normalize_axis("split", axis, self.ndim)
        length = self.shape[d]
        if isinstance(indices_or_sections, Sequence):
            cuts = [as_index("split", "each index", i) for i in indices_or_sections]
        else:
            sections = as_index("split", "the number of sections", indices_or_sections, minimum=1)
            if length % sections:
                raise ShapeError(explain("split", f"a number of sections that divides {length}", str(sections)))
            cuts = [i * length // sections for i in range(1, sections)]
        before = (slice(None),) * d
        return [self[(*before, slice(a, b))] for a, b in zip([0, *cuts], [*cuts, length], strict=True)]

    # Indexing

    def __getitem__(self, index: Any) -> Tensor:
        plain, is_basic = plain_index(index, self.device)
        if not is_basic and names_by_bools(plain):
            refuse_reading("an index of bools, whose number the host must know", "use tg.where")
        try:
            return self._apply(ops.GetItem(plain, is_basic))
        except (IndexError, ValueError, TypeError) as error:
            raise OutOfBoundsError(
                explain("indexing", f"an index into shape {self.shape}", f"{index!r} ({error})")
            ) from error

    def __setitem__(self, index: Any, values: Any) -> None:
        where = "assignment to elements"
        check_in_place(where, self)
        if isinstance(values, Tensor) and values.requires_grad and autograd.is_grad_enabled():
            expected, remedy = "values that need no gradient", "detach() them, or use tg.where or tg.concatenate"
            raise GraphError(explain(where, expected, "a tensor that requires grad", remedy))
        refuse_host_operand(values)
        plain, _ = plain_index(index, self.device)
        with np.errstate(all="ignore"):  # a value too large for the dtype becomes infinite
            source, array = as_array(where, values, self.dtype)
            if source is not self.device:
                array = self.device.fetch(array, source)
            self.device.use()
            try:
                self.data[plain] = array
            except (IndexError, ValueError, TypeError) as error:
                raise OutOfBoundsError(
                    explain(where, f"an index and values that fit shape {self.shape}", str(error))
                ) from error
        self.has_changed()


def as_operand(where: str, value: Any) -> Any:
    """Return an operand of a function: a Tensor, or a Python number that takes the tensors' dtype.

    Raises:
        DTypeError: it is neither a tensor nor an array of a known device nor a real number.
    """
    operand = _operand(value)
    if operand is NotImplemented:
        raise DTypeError(explain(where, "a tensor, an array or a number", type(value).__name__))
    return operand


def _operand(value: Any) -> Any:
    """Return the other operand of an operator as `as_operand` does, or NotImplemented, Python's word for "not mine"."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Tensor) or type(value) in (float, int, bool):
        return value
    device = device_of(value)
    if device is not None:
        refuse_host_operand(value)
        as_dtype("operand", value.dtype)
        target = get_device() if device.xp is np else device
        result = Tensor.__new__(Tensor)
        result._set(value if target is device else target.from_host(value), target)
        return result
    return NotImplemented


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product with NumPy's rules for vectors."""
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(explain("matmul", "operands with at least one axis", f"shapes {a.shape} and {b.shape}"))
    left = a.reshape(1, -1) if a.ndim == 1 else a
    right = b.reshape(-1, 1) if b.ndim == 1 else b
    if left.shape[-1] != right.shape[-2]:
        raise ShapeError(
            explain(
                "matmul",
                f"{left.shape[-1]} rows in the second operand, the first one's last length",
                f"shapes {a.shape} and {b.shape}",
            )
        )
    result = left._apply(ops.MatMul(), right)
    if a.ndim == 1:
        result = result.squeeze(-2)
    return result.squeeze(-1) if b.ndim == 1 else result


def _rebuild(cls: type[Tensor], array: np.ndarray, device: str, requires_grad: bool, name: str | None) -> Tensor:
    return cls(array, device=device, requires_grad=requires_grad, name=name)
