"""Elementwise arithmetic that leaves memory in the order in which it finds it.

CuPy writes every result in C order. After one such operation channels-last images would have to be copied back into
their order for the next convolution.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np

from ..reference import Kernels
from .base import CudaBase
from .launch import THREADS, width_of
from .layout import is_covered, memory_order

_CHANNELS_LAST = ((0, 2, 3, 1), (0, 3, 1, 2))


def in_memory_order(name: str) -> Any:
    """Return the reference's kernel of that name for operands seen with their axes in the order of their memory."""
    reference = getattr(Kernels, name)

    @wraps(reference)
    def kernel(self: ElementwiseOverrides, *operands: Any) -> Any:
        order = _order_of(operands)
        if order is None:
            return reference(self, *operands)
        to_memory, back = order
        return reference(self, *(_ordered(operand, to_memory) for operand in operands)).transpose(back)

    return kernel


class ElementwiseOverrides(CudaBase):
    """Arithmetic by CuPy, in the order of memory; the sum of two arrays that lie alike is our own kernel."""

    subtract = in_memory_order("subtract")
    multiply = in_memory_order("multiply")
    divide = in_memory_order("divide")
    floor_divide = in_memory_order("floor_divide")
    remainder = in_memory_order("remainder")
    power = in_memory_order("power")
    maximum = in_memory_order("maximum")
    minimum = in_memory_order("minimum")
    arctan2 = in_memory_order("arctan2")
    unary = in_memory_order("unary")
    rsqrt = in_memory_order("rsqrt")
    erf = in_memory_order("erf")
    clip = in_memory_order("clip")
    where = in_memory_order("where")
    compare = in_memory_order("compare")
    _add = in_memory_order("add")

    def add(self, a: Any, b: Any) -> Any:
        order = _order_of_both(a, b)
        if order is None:
            return self._add(a, b)
        to_memory, back = order
        out = self.xp.empty(tuple(a.shape[axis] for axis in to_memory), a.dtype)
        width = width_of(a.size, a, b, out)
        arguments = (a, b, np.int64(a.size), np.int32(width > 1), out)
        self.program.kernel("add_arrays", a.dtype)((-(-a.size // (width * THREADS)),), (THREADS,), arguments)
        return out.transpose(back)


def _order_of(operands: tuple[Any, ...]) -> Any:
    """Return the order of memory of the largest operands, as `memory_order` does; None if it is C order, or none.

    Where they differ, images stay channels-last.
    """
    arrays = [operand for operand in operands if hasattr(operand, "flags")]
    if all(array.flags.c_contiguous for array in arrays):
        return None
    size, axes = max(array.size for array in arrays), max(array.ndim for array in arrays)
    orders = [memory_order(array) for array in arrays if array.size == size and array.ndim == axes]
    if orders and all(order == orders[0] for order in orders):
        return orders[0]
    return _CHANNELS_LAST if _CHANNELS_LAST in orders else None


def _ordered(operand: Any, axes: tuple[int, ...]) -> Any:
    """Return an operand with its axes in another order; those that it does not have are added, with one element."""
    if not hasattr(operand, "flags") or operand.ndim == 0:
        return operand
    return operand.reshape((1,) * (len(axes) - operand.ndim) + operand.shape).transpose(axes)


def _order_of_both(a: Any, b: Any) -> Any:
    """Return the order of memory of two arrays without gaps and of one dtype, shape and order; None if they differ."""
    if not (hasattr(a, "flags") and hasattr(b, "flags")) or a.shape != b.shape or a.dtype != b.dtype:
        return None
    if a.size == 0 or not is_covered(a.dtype):
        return None
    order = memory_order(a)
    return order if order is not None and order == memory_order(b) else None
