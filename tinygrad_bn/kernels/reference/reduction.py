"""Sums and extremes over axes."""

from __future__ import annotations

from typing import Any


class ReductionKernels:
    """Reductions; `axes` is a tuple counted from the front."""

    xp: Any

    def sum(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        """Sum over axes; float16 is added up in float32."""
        if x.dtype == self.xp.float16:
            return self.xp.sum(x, axis=axes, keepdims=keepdims, dtype="float32").astype("float16")
        return self.xp.sum(x, axis=axes, keepdims=keepdims)

    def mean(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        """Mean over axes; float16 is added up in float32."""
        count = 1
        for axis in axes:
            count *= x.shape[axis]
        if x.dtype == self.xp.float16:
            total = self.xp.sum(x, axis=axes, keepdims=keepdims, dtype="float32")
            return (total / count).astype("float16")
        return self.xp.sum(x, axis=axes, keepdims=keepdims) / count

    def any(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return self.xp.any(x, axis=axes, keepdims=keepdims)

    def all(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return self.xp.all(x, axis=axes, keepdims=keepdims)

    def argmax(self, x: Any, axis: int, keepdims: bool) -> Any:
        """Return the index of the first maximum along one axis, int64; NaN counts as the maximum."""
        index = self.xp.argmax(x, axis=axis)
        return self.xp.expand_dims(index, axis) if keepdims else index

    def argmin(self, x: Any, axis: int, keepdims: bool) -> Any:
        """Return the index of the first minimum along one axis, int64; NaN counts as the minimum."""
        index = self.xp.argmin(x, axis=axis)
        return self.xp.expand_dims(index, axis) if keepdims else index
