"""Products of matrices, by cuBLAS."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from ...backend import get_float32_matmul_precision, once
from ...errors import DeviceError
from . import libraries
from .base import CudaBase
from .cublas import Cublas, Matrices
from .layout import is_covered

Pair = tuple[int, int]


class MatmulOverrides(CudaBase):
    """Products of all matrices of one floating-point dtype that have elements."""

    @cached_property
    def cublas(self) -> Cublas | None:
        """cuBLAS; where it cannot be used CuPy multiplies, though not in a captured step."""
        try:
            with once():
                return Cublas(libraries.load_cublas(), self.xp)
        except DeviceError as error:
            self.missing["cuBLAS"] = str(error)
            return None

    def matmul(self, a: Any, b: Any) -> Any:
        cublas = self.cublas
        if cublas is None or not _covers(a, b):
            return super().matmul(a, b)
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        (rows, depth), columns = a.shape[-2:], b.shape[-1]
        result = self.xp.empty((*batch, rows, columns), a.dtype)
        # What is addressed must live until the product has been launched.
        (a, a_place), (b, b_place) = self._placed(a, batch), self._placed(b, batch)
        tf32 = get_float32_matmul_precision() != "highest"
        sizes, count = (rows, columns, depth), math.prod(batch)
        cublas.multiply(str(a.dtype), tf32, sizes, a_place, b_place, result.data.ptr, count)
        return result

    def _placed(self, x: Any, batch: tuple[int, ...]) -> tuple[Any, Matrices]:
        """Return matrices as they lie in memory, or a copy where cuBLAS could not be told how; and where they are."""
        step = _step(x, batch)
        if step is None:
            return self._placed(self.xp.broadcast_to(x, (*batch, *x.shape[-2:])).copy(), batch)
        for transposed, axes in ((False, slice(-2, None)), (True, slice(None, -3, -1))):
            line = _line(x.shape[axes], x.strides[axes], x.itemsize)
            if line is not None:
                return x, Matrices(x.data.ptr, transposed, line, step)
        return self._placed(x.copy(), batch)


def _covers(a: Any, b: Any) -> bool:
    return (
        a.ndim >= 2
        and b.ndim >= 2
        and a.dtype == b.dtype
        and is_covered(a.dtype)
        and a.shape[-1] == b.shape[-2]
        and min(a.size, b.size) > 0
    )


def _line(shape: Pair, strides: Pair, size: int) -> int | None:
    """Return the distance between lines in elements, or None if elements of one are no neighbours or lines overlap.

    Args:
        shape: how many lines there are, and of how many elements each.
        strides: the distance from one line to the next and from one element to the next, in bytes.
        size: of an element, in bytes.
    """
    (lines, length), (line, element) = shape, strides
    if length > 1 and element != size:
        return None
    if lines == 1:
        return length
    return line // size if line % size == 0 and line >= length * size else None


def _step(x: Any, batch: tuple[int, ...]) -> int | None:
    """Return the distance between the matrices of a batch in elements; None if it is not always the same."""
    shape, strides = x.shape[:-2], x.strides[:-2]
    if math.prod(shape) == 1:
        return 0
    if shape != batch:
        return None
    step, expected = None, 0
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length == 1:
            continue
        if step is None:
            step = expected = stride
        elif stride != expected:
            return None
        expected *= length
    return step // x.itemsize if step is not None and step % x.itemsize == 0 and step >= 0 else None
