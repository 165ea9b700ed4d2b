"""Parts of arrays, and the way back, in the order of memory that is found; CuPy would write all in C order."""

from __future__ import annotations

from typing import Any

from ...backend import recording
from .base import CudaBase

Axes = tuple[int, ...]

_JOINED_AT_ONCE = 8
"""Of more arrays CuPy copies a table of addresses to the GPU, which cannot be recorded."""


class IndexingOverrides(CudaBase):
    """Padding, and the gradient of reading a part, as residual networks need them for images."""

    def scatter_add(self, values: Any, index: Any, shape: tuple[int, ...], has_repeats: bool) -> Any:
        if has_repeats or values.ndim != len(shape):
            return super().scatter_add(values, index, shape, has_repeats)
        to_memory, back = _outer_first(values)
        result = self.xp.zeros(tuple(shape[axis] for axis in to_memory), values.dtype).transpose(back)
        result[index] = values
        return result

    def pad(self, x: Any, widths: tuple[tuple[int, int], ...], value: float) -> Any:
        to_memory, back = _outer_first(x)
        return super().pad(x.transpose(to_memory), tuple(widths[axis] for axis in to_memory), value).transpose(back)

    def concatenate(self, arrays: list[Any], axis: int) -> Any:
        join = super().concatenate
        while recording() is not None and len(arrays) > _JOINED_AT_ONCE:
            arrays = [join(arrays[i : i + _JOINED_AT_ONCE], axis) for i in range(0, len(arrays), _JOINED_AT_ONCE)]
        return join(arrays, axis)


def _outer_first(x: Any) -> tuple[Axes, Axes]:
    """Return the axes of x from the slowest to the fastest in memory, and those that turn this order back."""
    to_memory = tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))
    return to_memory, tuple(map(to_memory.index, range(x.ndim)))
