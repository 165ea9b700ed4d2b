"""Packing a matrix into panels: columns side by side, as many as one tile of the matrix product takes.

The product then reads its right operand in one piece, however far apart the rows of the matrix lie.
"""

from __future__ import annotations

from typing import Any

from ...backend import Device
from .compiler import compiled
from .launch import launch, number_of_parts
from .layout import SCALARS, behaved
from .tile import VECTOR_BYTES
from .transposition import call_transpose, transpose_address
from .vectors import first_lanes, load, store

_NANOSECONDS_PER_VALUE = 0.3


@compiled
def pack_rows(part: int, first: int, last: int, matrix: Any, columns: int, panels: Any) -> None:
    """Copy the rows of a matrix (depth, columns), given flat, into panels first..last of (P, depth, width)."""
    _, depth, width = panels.shape
    lanes = width // 2
    flat = panels.reshape(-1)
    everything = first_lanes(flat, lanes)
    for panel in range(first, last):
        start = panel * width
        low = first_lanes(flat, min(lanes, columns - start))
        high = first_lanes(flat, max(0, min(lanes, columns - start - lanes)))
        for k in range(depth):
            source, target = k * columns + start, (panel * depth + k) * width
            store(flat, target, everything, load(matrix, source, low))
            store(flat, target + lanes, everything, load(matrix, source + lanes, high))


@compiled
def pack_columns(
    part: int, first: int, last: int, transpose: int, matrix: int, distance: int, columns: int, panels: Any
) -> None:
    """Transpose a matrix (columns, depth), given by its address and the distance of its rows, into panels as above."""
    _, depth, width = panels.shape
    lanes, size = width // 2, panels.itemsize
    for panel in range(first, last):
        target = panels[panel].ctypes.data
        if columns < panel * width + width:
            panels[panel] = 0.0
        for start in range(panel * width, panel * width + width, lanes):
            some = max(0, min(lanes, columns - start))
            for k in range(0, depth, lanes):
                call_transpose(
                    transpose, some, min(lanes, depth - k), matrix + start * distance + k * size, distance,
                    target + (k * width + start - panel * width) * size, width * size,
                )  # fmt: skip


def packed(device: Device, matrix: Any) -> Any:
    """Return a contiguous matrix (depth, columns), or the transposed view of one, as panels (P, depth, width).

    What the last panel has beyond the columns is 0.
    """
    depth, columns = matrix.shape
    size = matrix.itemsize
    width = 2 * VECTOR_BYTES // size
    panels = device.memory.workspace((-(-columns // width), depth, width), matrix.dtype)
    parts = number_of_parts(len(panels), panels.size * _NANOSECONDS_PER_VALUE)
    if matrix.strides[0] == size:
        transpose = transpose_address(SCALARS[matrix.dtype])
        place, distance = matrix.ctypes.data, matrix.strides[1]
        launch(pack_columns, len(panels), parts, transpose, place, distance, columns, panels)
    else:
        launch(pack_rows, len(panels), parts, behaved(matrix).reshape(-1), columns, panels)
    return panels
