"""Matrix products of two matrices, as they lie in memory."""

from __future__ import annotations

from typing import Any

from ..reference import Kernels
from .compiler import compiled
from .gemm import call_gemm, gemm_address
from .launch import launch, number_of_parts
from .layout import FLOATS, SCALARS
from .panels import packed
from .tile import VECTOR_BYTES

_FLOPS_PER_NANOSECOND = 150.0
_DEPTH = 512
"""Steps after which a sum is put down and a new one begun: small rounding errors, and rows that stay in cache."""


@compiled
def multiply(
    part: int,
    first: int,
    last: int,
    gemm: int,
    rows: int,
    columns: int,
    depth: int,
    a: int,
    a_row: int,
    a_column: int,
    b: int,
    b_row: int,
    b_panel: int,
    c: int,
    c_row: int,
    width: int,
    size: int,
) -> None:
    """C = A @ B for panels of columns first..last, each `width` wide; addresses and distances as in `gemm_address`.

    `b_panel` is the distance between the panels of B.
    """
    for panel in range(first, last):
        column = panel * width
        some = min(width, columns - column)
        for start in range(0, depth, _DEPTH):
            call_gemm(
                gemm,
                rows,
                some,
                min(_DEPTH, depth - start),
                a + start * a_column,
                a_row,
                a_column,
                b + panel * b_panel + start * b_row,
                b_row,
                c + column * size,
                c_row,
                int(start > 0),
            )


class MatmulOverrides(Kernels):
    """Products of two matrices with more than a handful of elements; the others go to NumPy."""

    def matmul(self, a: Any, b: Any) -> Any:
        if not (a.ndim == b.ndim == 2 and a.dtype in FLOATS and a.dtype == b.dtype and a.shape[1] == b.shape[0]):
            return super().matmul(a, b)
        (rows, depth), columns = a.shape, b.shape[1]
        if rows * columns * depth < _SMALLEST:
            return super().matmul(a, b)
        size = a.itemsize
        width = 2 * VECTOR_BYTES // size
        b_panel = width * size
        if b.strides[1] != size:
            if b.strides[0] != size:
                return super().matmul(a, b)
            b = packed(self.device, b)
            b_panel = b.strides[0]
        c = self.device.memory.empty((rows, columns), a.dtype)
        panels = -(-columns // width)
        parts = number_of_parts(panels, 2.0 * rows * columns * depth / _FLOPS_PER_NANOSECOND)
        launch(
            multiply,
            panels,
            parts,
            gemm_address(SCALARS[a.dtype]),
            rows,
            columns,
            depth,
            a.ctypes.data,
            *a.strides,
            b.ctypes.data,
            b.strides[-2],
            b_panel,
            c.ctypes.data,
            c.strides[0],
            width,
            size,
        )
        return c


_SMALLEST = 500_000
"""Multiplications below which NumPy's shorter way in counts for more than its BLAS."""
