"""Optimiser updates of many parameters in one call, in place.

A model has dozens of parameters, most of them small: a call for each would cost more than its arithmetic. The kernels
take a table of arrays instead, and the elements of all of them are cut into pieces as if they were one long array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..reference import Kernels
from ..settings import AdamSettings, SgdSettings, Skip
from .compiler import compiled, compiled_part
from .launch import launch, number_of_parts
from .layout import FLOATS

_PIECE = 4096  # elements
_NANOSECONDS = 0.4  # per element

_TO_DATA = object.__basicsize__
"""Where in an array object its data's address stands: behind the header (PyArrayObject_fields in NumPy's C API)."""


class UpdateOverrides(Kernels):
    """Updates of parameters that are all in float32, or all in float64, and have no gaps in memory."""

    def sgd_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        velocities: Sequence[Any] | None,
        settings: Callable[[], SgdSettings],
        skip: Skip | None = None,
    ) -> None:
        columns = (parameters, gradients, *([] if velocities is None else [velocities]))
        if not _covered(columns):
            super().sgd_all(parameters, gradients, velocities, settings, skip)
            return
        now = settings()
        if skip is not None and skip.flag:
            return
        first_step = now.first_step if skip is None else skip.taken == 1
        how = _PLAIN if velocities is None else _FIRST_STEP if first_step else _MOVING
        look_ahead = now.momentum if now.nesterov and velocities is not None else -1.0
        numbers = np.array(
            (now.learning_rate, now.momentum, 1.0 - now.dampening, now.weight_decay, look_ahead), parameters[0].dtype
        )
        _launch_all(_sgd, columns, numbers, how)

    def adam_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        means: Sequence[Any],
        squares: Sequence[Any],
        settings: Callable[[], AdamSettings],
        skip: Skip | None = None,
    ) -> None:
        columns = (parameters, gradients, means, squares)
        if not _covered(columns):
            super().adam_all(parameters, gradients, means, squares, settings, skip)
            return
        step_count, learning_rate, betas, eps, weight_decay, decoupled = settings()
        if skip is not None:
            if skip.flag:
                return
            step_count = int(skip.taken)
        kept = 1.0 - learning_rate * weight_decay if decoupled else 1.0
        rate = learning_rate / (1.0 - betas[0] ** step_count)
        correction = 1.0 / math.sqrt(1.0 - betas[1] ** step_count)
        decays = (betas[0], 1.0 - betas[0], betas[1], 1.0 - betas[1])
        numbers = np.array(
            (kept, 0.0 if decoupled else weight_decay, *decays, rate, correction, eps), parameters[0].dtype
        )
        _launch_all(_adam, columns, numbers)


def _covered(columns: tuple[Sequence[Any], ...]) -> bool:
    dtype = columns[0][0].dtype
    return dtype in FLOATS and all(a.flags.carray and a.dtype == dtype for a in chain(*columns))


def _launch_all(kernel: Any, columns: tuple[Sequence[Any], ...], numbers: Any, *rest: Any) -> None:
    """Update all parameters; the first array of the table says where each ends, counted through all of them."""
    ends = np.fromiter(accumulate(a.size for a in columns[0]), np.int64)
    objects = np.fromiter(map(id, chain(*columns)), np.int64).reshape(len(columns), -1)
    total = int(ends[-1])
    pieces = -(-total // _PIECE)
    launch(kernel, pieces, number_of_parts(pieces, total * _NANOSECONDS), ends, objects, numbers, *rest)


def _part_of(typing_context: Any, like: Any, object_address: Any, first: Any, last: Any) -> Any:
    """Return some elements of an array, given where its object is; the dtype is that of `like`. It checks nothing."""
    signature = like(like, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(like)(context, builder)
        _, array_object, first, last = arguments
        place = builder.add(array_object, first.type(_TO_DATA))
        address = builder.load(builder.inttoptr(place, data.data.type.as_pointer()))
        itemsize = first.type(like.dtype.bitwidth // 8)
        context.populate_array(
            data,
            data=builder.gep(address, [first]),
            shape=cgutils.pack_array(builder, [builder.sub(last, first)]),
            strides=cgutils.pack_array(builder, [itemsize]),
            itemsize=itemsize,
            meminfo=None,
        )
        return data._getvalue()

    return signature, generate


part_of: Any = intrinsic(_part_of)

_PLAIN, _FIRST_STEP, _MOVING = 0, 1, 2


@compiled_part
def _range_in(first: int, last: int, start: int, end: int) -> Any:
    """Return which elements of an array that takes the places start .. end lie in the pieces first .. last."""
    return max(first * _PIECE - start, 0), min(last * _PIECE, end) - start


@compiled
def _sgd(part: int, first: int, last: int, ends: Any, objects: Any, numbers: Any, how: int) -> None:
    rate, momentum, fresh, weight_decay, look_ahead = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    end = 0
    for k in range(len(ends)):
        start, end = end, ends[k]
        low, high = _range_in(first, last, start, end)
        if low >= high:
            continue
        parameter = part_of(numbers, objects[0, k], low, high)
        gradient = part_of(numbers, objects[1, k], low, high)
        if how == _PLAIN:
            for i in range(parameter.size):
                step = gradient[i] + weight_decay * parameter[i] if weight_decay != 0 else gradient[i]
                parameter[i] -= rate * step
            continue
        velocity = part_of(numbers, objects[2, k], low, high)
        for i in range(parameter.size):
            step = gradient[i] + weight_decay * parameter[i] if weight_decay != 0 else gradient[i]
            moved = step if how == _FIRST_STEP else momentum * velocity[i] + fresh * step
            velocity[i] = moved
            parameter[i] -= rate * (step + look_ahead * moved if look_ahead >= 0 else moved)


@compiled
def _adam(part: int, first: int, last: int, ends: Any, objects: Any, numbers: Any) -> None:
    kept, weight_decay, rate, correction, eps = numbers[0], numbers[1], numbers[6], numbers[7], numbers[8]
    mean_decay, mean_fresh, square_decay, square_fresh = numbers[2], numbers[3], numbers[4], numbers[5]
    end = 0
    for k in range(len(ends)):
        start, end = end, ends[k]
        low, high = _range_in(first, last, start, end)
        if low >= high:
            continue
        parameter = part_of(numbers, objects[0, k], low, high)
        gradient = part_of(numbers, objects[1, k], low, high)
        mean = part_of(numbers, objects[2, k], low, high)
        square = part_of(numbers, objects[3, k], low, high)
        for i in range(parameter.size):
            step = gradient[i] + weight_decay * parameter[i] if weight_decay != 0 else gradient[i]
            mean[i] = mean_decay * mean[i] + mean_fresh * step
            square[i] = square_decay * square[i] + square_fresh * (step * step)
            parameter[i] = kept * parameter[i] - rate * (mean[i] / (np.sqrt(square[i]) * correction + eps))
