"""Changing shape, order, extent or dtype, and joining; no arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Op, apply, sum_to
from ..backend.capturing import refuse_inside
from ..dtypes import is_floating

Shape = tuple[int, ...]


class _Rearrangement(Op):
    """An operation that computes nothing."""

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return 0


class Alias(_Rearrangement):
    """The same tensor, as a new node."""

    name = "alias"
    is_view = True

    def forward(self, kernels: Any, x: Any) -> Any:
        return x

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (grad,)


class Reshape(_Rearrangement):
    """The same elements in logical (row-major) order, in another shape."""

    name = "reshape"
    is_view = True

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, kernels: Any, x: Any) -> Any:
        self.input_shape = x.shape
        return x.reshape(self.shape)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (grad.reshape(self.input_shape),)


class Transpose(_Rearrangement):
    """Axis d of the result is axis `axes[d]` of the input."""

    name = "transpose"
    is_view = True

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, kernels: Any, x: Any) -> Any:
        return x.transpose(self.axes)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        inverse = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return (grad.transpose(inverse),)


class BroadcastTo(_Rearrangement):
    """The input repeated along axes of length 1, and along new axes in front, without copying."""

    name = "broadcast_to"
    is_view = True

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, kernels: Any, x: Any) -> Any:
        self.input_shape = x.shape
        return kernels.xp.broadcast_to(x, self.shape)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (sum_to(grad, self.input_shape),)


class AsType(_Rearrangement):
    """The same values in another dtype.

    Args:
        dtype: the other one.
        values: an array that holds them already, where there is one.
    """

    name = "astype"
    gradients_are_new = True

    def __init__(self, dtype: Any, values: Any = None) -> None:
        self.dtype = dtype
        self.values = values
        self.differentiable = is_floating(dtype)  # integers carry no gradient

    def forward(self, kernels: Any, x: Any) -> Any:
        self.input_dtype = x.dtype
        values, self.values = self.values, None
        return kernels.astype(x, self.dtype) if values is None else values

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (grad.astype(self.input_dtype),)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (kernels.astype(grad, self.input_dtype),)


class Copy(_Rearrangement):
    """The same values in new memory."""

    name = "copy"

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.copy(x)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (grad,)


class ToDevice(_Rearrangement):
    """The same values on another device; the gradient travels back."""

    name = "to_device"

    def __init__(self, source: Any, target: Any) -> None:
        self.source = source
        self.output_device = target

    def forward(self, kernels: Any, x: Any) -> Any:
        return self.output_device.fetch(x, self.source)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (grad.to(self.source),)


class Pad(_Rearrangement):
    """The input with `widths[d] = (before, after)` constant elements added to each axis."""

    name = "pad"

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float) -> None:
        self.widths = widths
        self.value = value

    def forward(self, kernels: Any, x: Any) -> Any:
        self.interior = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, self.widths, strict=True))
        return kernels.pad(x, self.widths, self.value)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (grad[self.interior],)


class Concatenate(_Rearrangement):
    """The inputs one after the other along an axis."""

    name = "concatenate"

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, kernels: Any, *arrays: Any) -> Any:
        self.lengths = [a.shape[self.axis] for a in arrays]
        self.dtypes = [a.dtype for a in arrays]
        return kernels.concatenate(list(arrays), self.axis)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        parts, start = [], 0
        for length, dtype in zip(self.lengths, self.dtypes, strict=True):
            index = (slice(None),) * self.axis + (slice(start, start + length),)
            parts.append(grad[index].astype(dtype))
            start += length
        return parts


class GetItem(_Rearrangement):
    """x[index], basic or advanced.

    Args:
        index: as NumPy takes it, arrays in the place of tensors.
        is_basic: whether it consists of integers, slices, None and ... only, and so names each element once.
    """

    name = "getitem"

    def __init__(self, index: Any, is_basic: bool) -> None:
        self.index = index
        self.is_basic = is_basic
        self.is_view = is_basic  # NumPy returns a view

    def forward(self, kernels: Any, x: Any) -> Any:
        self.shape = x.shape
        return kernels.getitem(x, self.index)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (apply(ScatterAdd(self.index, self.shape, self.is_basic), grad),)


class ScatterAdd(Op):
    """Zeros of `shape` with the values added at `index`: the derivative of GetItem, and the other way round."""

    name = "scatter_add"

    def __init__(self, index: Any, shape: Shape, is_basic: bool) -> None:
        self.index = index
        self.shape = shape
        self.is_basic = is_basic

    def forward(self, kernels: Any, values: Any) -> Any:
        if not self.is_basic:  # what is named several times is found by sorting, for which the host waits
            expected, remedy = (
                "gradients of parts that slices name",
                "use slices, tg.where, or functional.one_hot(...) @ x",
            )
            refuse_inside(expected, "those of parts that arrays name", remedy)
        return kernels.scatter_add(values, self.index, self.shape, has_repeats=not self.is_basic)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (apply(GetItem(self.index, self.is_basic), grad),)
