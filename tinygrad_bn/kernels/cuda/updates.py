"""Optimisers: one launch changes all parameters, or as many as one launch's arguments can name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain
from typing import Any

import numpy as np

from ...backend import fed, recording
from ..settings import AdamSettings, SgdSettings, Skip
from .base import CudaBase
from .layout import images_of, is_covered

_THREADS = 256
_PIECE = 4096  # elements of a parameter, changed by one block
_LARGEST = 2**31 - _PIECE  # elements of one parameter
_ARGUMENTS = 4096 - 64  # bytes for a table, on every card and driver; some are left for the other arguments

Numbers = Callable[[], np.ndarray]


class UpdateOverrides(CudaBase):
    """Updates of parameters that are all of one floating-point dtype and have no gaps in memory."""

    def laid_out(self, parameter: Any) -> Any:
        """Return the weights of convolutions channels-last, as their kernels read them and write their gradients."""
        if parameter.ndim != 4 or not is_covered(parameter.dtype):
            return parameter
        return images_of(parameter).transpose(0, 3, 1, 2)

    def count_step(self, skip: Skip) -> None:
        self.program.kernel("count_step", "float32")((1,), (1,), tuple(skip))

    def unscale_all(self, gradients: Sequence[Any], scale: Any) -> Any:
        if not _are_alike(gradients):
            return super().unscale_all(gradients, scale)
        overflowed = self.xp.zeros((), dtype=bool)
        kernel = self.program.kernel("unscale", gradients[0].dtype)
        for pieces, table in _tables(*_table(1, 1), [gradients], None):
            kernel((pieces,), (_THREADS,), (table, scale, overflowed))
        return overflowed

    def adapt_scale(
        self,
        scale: Any,
        streak: Any,
        overflowed: Any,
        growth_factor: float,
        backoff_factor: float,
        growth_interval: int,
    ) -> None:
        factors = np.float64(growth_factor), np.float64(backoff_factor)
        arguments = (scale, streak, overflowed, *factors, np.int32(growth_interval))
        self.program.kernel("adapt_scale", "float32")((1,), (1,), arguments)

    def sgd_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        velocities: Sequence[Any] | None,
        settings: Callable[[], SgdSettings],
        skip: Skip | None = None,
    ) -> None:
        columns = [parameters, gradients, *([] if velocities is None else [velocities])]
        if _covers(columns):
            self._update_all("sgd", 3, columns, lambda: _sgd_numbers(settings()), skip)
        else:
            super().sgd_all(parameters, gradients, velocities, settings, skip)

    def adam_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        means: Sequence[Any],
        squares: Sequence[Any],
        settings: Callable[[], AdamSettings],
        skip: Skip | None = None,
    ) -> None:
        columns = [parameters, gradients, means, squares]
        if _covers(columns):
            self._update_all("adam", 4, columns, lambda: _adam_numbers(settings()), skip)
        else:
            super().adam_all(parameters, gradients, means, squares, settings, skip)

    def _update_all(
        self, name: str, most_columns: int, columns: list[Sequence[Any]], numbers: Numbers, skip: Skip | None
    ) -> None:
        """Launch a kernel for all rows of the columns.

        In a captured step it reads the numbers from an array that is filled anew before each replay. Otherwise they are
        among its arguments, and nothing is copied to the device.
        """
        parameters = columns[0]
        laid_out = [columns[0], list(map(self._beside, columns[1], parameters)), *columns[2:]]
        live = None if recording() is None else fed(self.device, numbers)
        values = numbers() if live is None else None
        kernel = self.program.kernel(name, parameters[0].dtype)
        flag, taken = (None, None) if skip is None else skip
        for pieces, table in _tables(*_table(most_columns, _NUMBERS[name]), laid_out, values):
            kernel((pieces,), (_THREADS,), (table, live, flag, taken))

    def _beside(self, gradient: Any, parameter: Any) -> Any:
        """Return a gradient whose axes have the parameter's order in memory; copies where they have another."""
        if _lie_alike(parameter, gradient):
            return gradient
        copy = self.xp.empty_like(parameter)
        copy[...] = gradient
        return copy


def _sgd_numbers(now: SgdSettings) -> np.ndarray:
    look_ahead = now.momentum if now.nesterov else -1.0
    numbers = (now.learning_rate, now.weight_decay, now.momentum, 1.0 - now.dampening, look_ahead, now.first_step)
    return np.array(numbers, np.float64)


def _adam_numbers(now: AdamSettings) -> np.ndarray:
    mean_decay, square_decay = now.betas
    numbers = (
        now.learning_rate / (1.0 - mean_decay**now.step_count),
        1.0 / math.sqrt(1.0 - square_decay**now.step_count),
        1.0 - now.learning_rate * now.weight_decay if now.decoupled else 1.0,
        0.0 if now.decoupled else now.weight_decay,
        mean_decay,
        1.0 - mean_decay,
        square_decay,
        1.0 - square_decay,
        now.eps,
        now.learning_rate,
        mean_decay,
        square_decay,
    )
    return np.array(numbers, np.float64)


_NUMBERS = {"sgd": 6, "adam": 12}


@lru_cache
def _table(columns: int, numbers: int) -> tuple[np.dtype[Any], int]:
    """Return the structure `Table` of `source/updates.cuh`, and how many entries it has."""
    entries = (_ARGUMENTS - 8 * numbers) // (8 * columns + 8)
    fields = [
        ("numbers", np.float64, numbers),
        ("at", np.uint64, (columns, entries)),
        ("size", np.int32, entries),
        ("end", np.int32, entries),
        ("count", np.int32),
    ]
    return np.dtype(fields, align=True), entries


def _tables(
    table: np.dtype[Any], entries: int, columns: Sequence[Sequence[Any]], values: np.ndarray | None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield tables that together name all rows of the columns, each with the number of pieces that its rows have."""
    for first in range(0, len(columns[0]), entries):
        rows = [column[first : first + entries] for column in columns]
        sizes = [array.size for array in rows[0]]
        ends = list(accumulate(-(-size // _PIECE) for size in sizes))
        filled = np.zeros(1, table)
        if values is not None:
            filled["numbers"] = values
        for column, arrays in enumerate(rows):
            filled["at"][0, column, : len(arrays)] = [array.data.ptr for array in arrays]
        filled["size"][0, : len(sizes)] = sizes
        filled["end"][0, : len(ends)] = ends
        filled["count"] = len(sizes)
        if ends[-1]:
            yield ends[-1], filled


def _are_alike(arrays: Sequence[Any]) -> bool:
    """Return whether all arrays have one dtype and no gaps."""
    dtype = arrays[0].dtype
    return is_covered(dtype) and all(a.dtype == dtype and a.size <= _LARGEST and _order(a) is not None for a in arrays)


def _covers(columns: list[Sequence[Any]]) -> bool:
    """Return whether all arrays have one dtype and no gaps, and the rows, but for gradients, one order in memory."""
    dtype = columns[0][0].dtype
    if not is_covered(dtype) or any(array.dtype != dtype for column in columns for array in column):
        return False
    if any(parameter.size > _LARGEST or _order(parameter) is None for parameter in columns[0]):
        return False
    remembered = (zip(columns[0], column, strict=True) for column in columns[2:])
    return all(_lie_alike(parameter, other) for parameter, other in chain(*remembered))


def _lie_alike(a: Any, b: Any) -> bool:
    """Return whether two arrays of one shape, the first without gaps, have their axes in one order in memory."""
    return bool(a.strides == b.strides) or _order(a) == _order(b)


def _order(array: Any) -> tuple[int, ...] | None:
    """Return something that is equal for arrays of one shape and one order in memory; None if there are gaps."""
    return _order_of(array.shape, array.strides, array.itemsize)


@lru_cache(maxsize=4096)
def _order_of(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, ...] | None:
    proper = {axis: stride for axis, stride in enumerate(strides) if shape[axis] > 1}
    expected = itemsize
    for axis in sorted(proper, key=proper.__getitem__):
        if proper[axis] != expected:
            return None
        expected *= shape[axis]
    return tuple(proper.get(axis, 0) for axis in range(len(shape)))
