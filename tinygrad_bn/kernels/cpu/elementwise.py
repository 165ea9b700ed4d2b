"""Elementwise arithmetic of large arrays into memory from the pool; NumPy computes it."""

from __future__ import annotations

from functools import cache, wraps
from typing import Any

import numpy as np

from ...dtypes import is_bfloat16
from ..reference import Kernels

_LARGE = 1 << 15
"""Bytes from which on the pool lends memory; for a smaller first operand NumPy is called without further ado."""


def _pooled(name: str) -> Any:
    """Return the kernel of a NumPy function of two operands, whose large results lie in memory from the pool."""
    function, reference = getattr(np, name), getattr(Kernels, name)

    @wraps(reference)
    def kernel(self: ElementwiseOverrides, a: Any, b: Any) -> Any:
        if is_bfloat16((a if hasattr(a, "dtype") else b).dtype):
            return reference(self, a, b)
        if getattr(a, "nbytes", _LARGE) < _LARGE:
            return function(a, b)
        return function(a, b, out=self._room_for(a, b))

    return kernel


class ElementwiseOverrides(Kernels):
    """Floating-point arithmetic whose result has the dtype, shape and memory order of a large operand."""

    add = _pooled("add")
    subtract = _pooled("subtract")
    multiply = _pooled("multiply")
    divide = _pooled("divide")
    maximum = _pooled("maximum")
    minimum = _pooled("minimum")

    def unary(self, name: str, x: Any) -> Any:
        if is_bfloat16(x.dtype):
            return super().unary(name, x)
        if x.nbytes < _LARGE or x.dtype.kind != "f" or not _keeps_dtype(name):
            return getattr(np, name)(x)
        return getattr(np, name)(x, out=self._room_like(x, x.dtype))

    def clip(self, x: Any, low: float | None, high: float | None) -> Any:
        if x.nbytes < _LARGE or x.dtype.kind != "f":
            return super().clip(x, low, high)
        return np.clip(x, low, high, out=self._room_like(x, x.dtype))

    def astype(self, x: Any, dtype: Any) -> Any:
        return self._copied(x, np.dtype(dtype)) if x.nbytes >= _LARGE else super().astype(x, dtype)

    def copy(self, x: Any) -> Any:
        return self._copied(x, x.dtype) if x.nbytes >= _LARGE else super().copy(x)

    def _copied(self, x: Any, dtype: Any) -> Any:
        room = self._room_like(x, dtype)
        if room is None:
            return x.astype(dtype)
        np.copyto(room, x, casting="unsafe")
        return room

    def _room_for(self, a: Any, b: Any) -> Any:
        """Return memory for the result of two operands; None where NumPy had better decide about it."""
        if isinstance(a, np.ndarray) and a.nbytes >= _LARGE:
            large, other = a, b
        elif isinstance(b, np.ndarray) and b.nbytes >= _LARGE:
            large, other = b, a
        else:
            return None
        if large.dtype.kind != "f":
            return None
        if isinstance(other, np.ndarray):
            alike = other.shape == large.shape and other.strides == large.strides
            if other.dtype != large.dtype or not (alike or _broadcasts_to(other.shape, large.shape)):
                return None
        elif type(other) not in (int, float):
            return None
        return self._room_like(large, large.dtype)

    def _room_like(self, x: Any, dtype: Any) -> Any:
        """Return memory in the order of x if that is plain or channels-last, else None."""
        if x.flags.c_contiguous:
            return self.device.memory.empty(x.shape, dtype)
        if x.ndim == 4:
            batch, channels, height, width = x.shape
            if x.transpose(0, 2, 3, 1).flags.c_contiguous:
                return self.device.memory.empty((batch, height, width, channels), dtype).transpose(0, 3, 1, 2)
        return None


def _broadcasts_to(shape: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    """Return whether a shape other than the larger one is stretched to it."""
    if shape == larger or len(shape) > len(larger):
        return False
    return all(n in (1, m) for n, m in zip(reversed(shape), reversed(larger), strict=False))


@cache
def _keeps_dtype(name: str) -> bool:
    """Return whether NumPy's function of that name makes floating-point numbers of such, of the same dtype."""
    function = getattr(np, name)
    return isinstance(function, np.ufunc) and "d->d" in function.types
