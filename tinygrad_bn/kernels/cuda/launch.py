"""How the threads of a GPU share an array."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

THREADS = 512
"""In a block that walks over rows."""

BLOCKS = 264
"""At most, of a launch that walks over rows: two for each of the 132 multiprocessors of an H100 or H200.

A constant, so that sums are added up in the same order on every card.
"""

_ROWS_EACH = 4  # at least, for a thread: fewer are not worth another block, whose sums must be added to the others'


class Tiling(NamedTuple):
    """How blocks share rows of columns: the grid is (tiles of columns, parts of the rows), the block likewise.

    Attributes:
        rows: in a part; the last one may have fewer.
    """

    grid: tuple[int, int]
    block: tuple[int, int]
    rows: int


def width_of(channels: int, *arrays: Any) -> int:
    """Return how many neighbours in a row a thread reads at once: what the source calls WIDE where that fits, or one.

    Args:
        channels: the length of a row.
        arrays: C-contiguous, of one dtype.
    """
    size = int(arrays[0].dtype.itemsize)
    width = 2 if size == 8 else 4
    aligned = channels % width == 0 and all(array.data.ptr % (width * size) == 0 for array in arrays)
    return width if aligned else 1


@lru_cache(maxsize=1024)
def tiling(rows: int, columns: int) -> Tiling:
    """Return how blocks share an array, (rows, columns); a column is what a thread reads at once."""
    across = _threads_across(columns)
    lanes = THREADS // across
    tiles = -(-columns // across)
    parts = max(1, BLOCKS // tiles)
    each = max(-(-rows // parts), lanes * _ROWS_EACH)
    each = -(-each // lanes) * lanes
    return Tiling((tiles, -(-rows // each)), (across, lanes), each)


def _threads_across(columns: int) -> int:
    """Return the width of a block, a power of two up to a warp: the widest that leaves few threads without a column."""
    if columns <= 8:
        return 1 << (columns - 1).bit_length()
    return min((32, 16, 8), key=lambda across: -(-columns // across) * across * 8 // columns)
