"""Argument checks that several floors share: each raises before any harm is done."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np

from .errors import ArgumentError, DTypeError, ShapeError, explain

_WITHIN: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


def as_index(where: str, what: str, value: Any, minimum: int | None = None) -> int:
    """Return an integer argument as an int; bools and floats are refused."""
    if type(value) is int:
        number = value
    else:
        if isinstance(value, bool):
            raise DTypeError(explain(where, f"{what} to be an integer", repr(value)))
        try:
            number = operator.index(value)
        except TypeError:
            raise DTypeError(explain(where, f"{what} to be an integer", repr(value))) from None
    if minimum is not None and number < minimum:
        raise ArgumentError(explain(where, f"{what} >= {minimum}", str(number)))
    return number


def as_number(
    where: str,
    what: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> float:
    """Return a number as Python's own: NumPy's scalars would widen the arrays that they meet.

    Strings and tensors are refused. A number without limits may be any, as the value that a tensor is filled with: also
    a bool, an infinity or NaN; one with limits may not.
    """
    if type(value) is float and at_least is above is at_most is below is None:
        return value
    number = value.item() if isinstance(value, np.generic) else value
    limits = {
        sign: limit for sign, limit in zip(_WITHIN, (at_least, above, at_most, below), strict=True) if limit is not None
    }
    is_number = isinstance(number, int | float) and not (limits and isinstance(number, bool))
    if is_number and (
        not limits or (abs(number) < math.inf and all(_WITHIN[sign](number, limits[sign]) for sign in limits))
    ):
        return cast("float", number)
    allowed = " and ".join(f"{sign} {limit:g}" for sign, limit in limits.items())
    error = ArgumentError if is_number else DTypeError
    raise error(explain(where, f"{what} to be a number {allowed}".rstrip(), repr(value)))


def as_pair(where: str, what: str, value: Any, minimum: int) -> tuple[int, int]:
    """Return (vertical, horizontal) from one integer or two, each at least `minimum`."""
    if type(value) is tuple or (type(value) is not int and isinstance(value, Iterable)):
        values = tuple(value)
        if len(values) != 2:
            raise ArgumentError(explain(where, f"{what} to be one integer or two", repr(value)))
        return as_index(where, what, values[0], minimum), as_index(where, what, values[1], minimum)
    number = as_index(where, what, value, minimum)
    return number, number


def normalize_axis(where: str, axis: Any, ndim: int) -> int:
    """Return an axis counted from the front; negative axes count from the back."""
    number = as_index(where, "axis", axis)
    if not -ndim <= number < ndim:
        raise ShapeError(explain(where, f"an axis of a {ndim}-dimensional tensor (-{ndim} .. {ndim - 1})", str(axis)))
    return number % ndim


def normalize_axes(where: str, axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Return the axes of a reduction, counted from the front and without repeats; None means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(normalize_axis(where, a, ndim) for a in (axis if isinstance(axis, Iterable) else (axis,)))
    if len(set(axes)) != len(axes):
        raise ShapeError(explain(where, "each axis once", f"axis={axis}"))
    return axes


def as_shape(where: str, shape: Sequence[Any], minimum: int | None = None) -> tuple[int, ...]:
    """Return a shape given as separate integers or as one sequence of them, each at least `minimum`."""
    values = shape[0] if len(shape) == 1 and isinstance(shape[0], Iterable) else shape
    return tuple(as_index(where, "each length of the shape", v, minimum) for v in values)


def as_bool(where: str, what: str, value: Any) -> bool:
    """Return a flag after checking that it is True or False, not something that merely counts as one."""
    if not isinstance(value, bool | np.bool_):
        raise DTypeError(explain(where, f"{what} to be True or False", repr(value)))
    return bool(value)


def check_probability(where: str, what: str, value: float, below_one: bool = False) -> float:
    """Return a probability after checking that it lies in [0, 1] (or [0, 1))."""
    number = as_number(where, what, value)
    if not (0.0 <= number < 1.0 or (number == 1.0 and not below_one)):
        raise ArgumentError(explain(where, f"{what} in [0, 1{')' if below_one else ']'}", repr(value)))
    return float(number)


def check_text(where: str, what: str, value: Any) -> str:
    """Return a string, or raise DTypeError for anything else."""
    if not isinstance(value, str):
        raise DTypeError(explain(where, f"{what} to be a string", repr(value)[:80]))
    return value
