"""Which arrays our own kernels take: channels-last memory without gaps, of the dtypes that the source knows."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .compiler import SCALARS

_FLOAT32, _FLOAT64 = np.dtype("float32"), np.dtype("float64")


@cache
def is_covered(dtype: Any) -> bool:
    """Return whether the kernels have a format for a dtype."""
    return str(dtype) in SCALARS


def real_of(dtype: Any) -> Any:
    """Return the dtype in which the kernels compute: float64 for float64, else float32."""
    return _FLOAT64 if dtype == _FLOAT64 else _FLOAT32


def rows_of(x: Any) -> Any:
    """Return x, (N, C) or (N, C, H, W), as C-contiguous rows (N * H * W, C); copies where memory is laid out otherwise.

    The copy is the exception: convolution, pooling and normalisation hand on channels-last memory.
    """
    if x.ndim == 2:
        return without_gaps(x)
    return images_of(x).reshape(-1, x.shape[1])


def images_of(x: Any) -> Any:
    """Return x (N, C, H, W) as C-contiguous (N, H, W, C); copies if its memory is laid out otherwise."""
    return without_gaps(x.transpose(0, 2, 3, 1))


def without_gaps(x: Any) -> Any:
    """Return x C-contiguous."""
    return x if x.flags.c_contiguous else x.copy()


def in_shape_of(x: Any, rows: Any) -> Any:
    """Return rows (N * H * W, C) in the shape of x, (N, C) or (N, C, H, W): a view."""
    if x.ndim == 2:
        return rows
    batch, channels, height, width = x.shape
    return rows.reshape(batch, height, width, channels).transpose(0, 3, 1, 2)


def memory_order(x: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the axes of x from the slowest to the fastest in memory, and those that turn this order back.

    None where the elements do not fill one run of memory.
    """
    axes = tuple(range(x.ndim))
    if x.flags.c_contiguous:
        return axes, axes
    outer_first = tuple(sorted(axes, key=lambda axis: -x.strides[axis]))
    if not x.transpose(outer_first).flags.c_contiguous:
        return None
    return outer_first, tuple(map(outer_first.index, axes))
