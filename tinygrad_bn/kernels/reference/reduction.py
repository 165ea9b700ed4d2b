"""Sums and extremes over axes."""

from __future__ import annotations

import math
from typing import Any

from .precision import in_float32


class ReductionKernels:
    """Reductions; `axes` is a tuple counted from the front."""

    xp: Any

    @in_float32
    def sum(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        """Sum over axes."""
        return self.xp.sum(x, axis=axes, keepdims=keepdims)

    @in_float32
    def mean(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        """Mean over axes."""
        count = math.prod(x.shape[axis] for axis in axes)
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
