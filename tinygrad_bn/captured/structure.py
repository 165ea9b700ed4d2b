"""Tensors in nested tuples, lists and dicts: what captured steps take and return."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from ..backend import Device
from ..errors import CaptureError, explain
from ..tensor import Tensor


def with_tensors(value: Any, replace: Callable[[Tensor], Any]) -> Any:
    """Return the same structure with something else in the place of each tensor."""
    if isinstance(value, Tensor):
        return replace(value)
    if type(value) is dict:
        return {name: with_tensors(part, replace) for name, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(with_tensors(part, replace) for part in value)
    if is_named_tuple(value):
        return type(value)(*(with_tensors(part, replace) for part in value))
    return value


def layout_of(where: str, value: Any, place: str, tensors: list[Tensor]) -> Hashable:
    """Return what decides which recording serves arguments: the structure, tensors' shapes and dtypes, other values.

    Args:
        where: who asks, for the error's message.
        value: an argument, or a part of one.
        place: where it stands, for the error's message.
        tensors: gets the tensors found, in the order of `with_tensors`.

    Raises:
        CaptureError: something in it is neither a tensor nor hashable.
    """
    if isinstance(value, Tensor):
        tensors.append(value)
        return (Tensor, value.shape, value.dtype)
    kind = type(value)
    if kind is dict:
        parts = ((name, layout_of(where, part, f"{place}[{name!r}]", tensors)) for name, part in value.items())
        return (kind, *((_identity(name), layout) for name, layout in parts))
    if kind in (tuple, list) or is_named_tuple(value):
        return (kind, *(layout_of(where, part, f"{place}[{i}]", tensors) for i, part in enumerate(value)))
    if not _is_hashable(value):
        expected = "tensors, tuples, lists, dicts and hashable values as arguments"
        got = f"{kind.__name__} as {place}"
        raise CaptureError(explain(where, expected, got, "give numbers that change as a tensor"))
    return _identity(value)


def _identity(value: Hashable) -> Hashable:
    """Return what tells a value apart from others that equal it, as 1 does 1.0 and True, and 0.0 does -0.0."""
    kind = type(value)
    if isinstance(value, float | complex | np.inexact):
        return (kind, repr(value))
    if isinstance(value, tuple):
        return (kind, value, *(_identity(part) for part in value))
    if isinstance(value, frozenset):
        return (kind, value, frozenset(_identity(part) for part in value))
    if dataclasses.is_dataclass(value):
        compared = (getattr(value, field.name) for field in dataclasses.fields(value) if field.compare)
        return (kind, value, *(_identity(part) for part in compared if _is_hashable(part)))
    return (kind, value)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def check_outputs(where: str, value: Any, device: Device, place: str = "the result") -> None:
    """Raise if a step returns what a replay could not return anew: anything but tensors of its device, and None.

    Raises:
        CaptureError: it does.
    """
    if isinstance(value, Tensor):
        if value.device is not device:
            expected, got = f"tensors on {device}, where the arguments are", f"one on {value.device} as {place}"
            raise CaptureError(explain(where, expected, got, "make it on that device"))
    elif type(value) is dict:
        for name, part in value.items():
            check_outputs(where, part, device, f"{place}[{name!r}]")
    elif type(value) in (tuple, list) or is_named_tuple(value):
        for number, part in enumerate(value):
            check_outputs(where, part, device, f"{place}[{number}]")
    elif value is not None:
        expected = "tensors and None to be returned, in tuples, lists and dicts"
        raise CaptureError(explain(where, expected, f"{type(value).__name__} as {place}", "find it out after the call"))


def is_named_tuple(value: Any) -> bool:
    """Return whether a value is a tuple whose parts have names."""
    return isinstance(value, tuple) and hasattr(type(value), "_fields")
