"""Reading and writing parts of arrays: gather and scatter are each other's derivatives."""

from __future__ import annotations

import math
from typing import Any


class IndexingKernels:
    """Indexing, joining and padding."""

    xp: Any

    def getitem(self, x: Any, index: Any) -> Any:
        return x[index]

    def scatter_add(self, values: Any, index: Any, shape: tuple[int, ...], has_repeats: bool) -> Any:
        """Return zeros of `shape` with `values` added at `index`; elements named several times add up.

        The places are sorted and added up run by run rather than with `add.at`, whose order on a GPU is not fixed.
        """
        xp = self.xp
        result = xp.zeros(shape, dtype=values.dtype)
        if not has_repeats:
            result[index] = values
            return result
        places = xp.arange(math.prod(shape)).reshape(shape)[index].ravel()
        flat = values.ravel()
        order = xp.argsort(places, kind="stable")
        places, flat = places[order], flat[order]
        starts = xp.flatnonzero(xp.concatenate([xp.ones(min(1, places.size), dtype=bool), places[1:] != places[:-1]]))
        if starts.size:
            result.reshape(-1)[places[starts]] = xp.add.reduceat(flat, starts)
        return result

    def take_along_axis(self, x: Any, index: Any, axis: int) -> Any:
        return self.xp.take_along_axis(x, index, axis)

    def put_along_axis(self, values: Any, index: Any, axis: int, shape: tuple[int, ...]) -> Any:
        """Return zeros of `shape` with `values` at `index` along `axis`; each place at most once."""
        xp = self.xp
        grid = [
            xp.arange(n).reshape([-1 if i == d else 1 for i in range(len(shape))]) for d, n in enumerate(index.shape)
        ]
        grid[axis] = index
        result = xp.zeros(shape, dtype=values.dtype)
        result[tuple(grid)] = values
        return result

    def concatenate(self, arrays: list[Any], axis: int) -> Any:
        return self.xp.concatenate(arrays, axis=axis)

    def pad(self, x: Any, widths: tuple[tuple[int, int], ...], value: float) -> Any:
        """Add `widths[d] = (before, after)` constant elements to each axis."""
        shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
        result = self.xp.full(shape, value, dtype=x.dtype)
        result[tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True))] = x
        return result
