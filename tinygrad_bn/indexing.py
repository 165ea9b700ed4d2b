"""Indices as users write them, made ready for arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .autograd import Value
from .backend import Device
from .backend.capturing import refuse_host_operand
from .errors import DeviceError, OutOfBoundsError, explain


def plain_index(index: Any, device: Device) -> tuple[Any, bool]:
    """Return an index with arrays of the device in the place of tensors, arrays and sequences, and whether it is basic.

    A basic index holds integers, slices, None and ... only. Arrays are copied, so that later changes do not matter.
    """
    parts = index if isinstance(index, tuple) else (index,)
    plain = [_plain_part(part, device) for part in parts]
    is_basic = all(
        part is None or part is Ellipsis or (isinstance(part, slice | int | np.integer) and not isinstance(part, bool))
        for part in plain
    )
    if is_basic and Ellipsis not in plain:
        plain.append(Ellipsis)  # so that a single element is a view without axes, not a number
    return (tuple(plain) if is_basic or isinstance(index, tuple) else plain[0]), is_basic


def names_by_bools(index: Any) -> bool:
    """Return whether a plain index holds an array of bools, so that what it names is as long as they are often True."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(hasattr(part, "dtype") and part.dtype.kind == "b" for part in parts)


def _plain_part(part: Any, device: Device) -> Any:
    if isinstance(part, Value):
        if part.device is not device:
            raise DeviceError(explain("indexing", f"an index on {device}", str(part.device), "move it with .to()"))
        device.use()
        array = part.data.copy()
    elif isinstance(part, list | tuple | np.ndarray):
        refuse_host_operand(part)
        try:
            array = np.array(part, dtype=None if np.size(part) else "int64")
        except ValueError as error:
            raise OutOfBoundsError(explain("indexing", "sequences of equal lengths", str(error))) from error
    else:
        return part
    if array.dtype.kind not in "iub":
        raise OutOfBoundsError(explain("indexing", "integers or bools", str(array.dtype)))
    return device.from_host(array) if isinstance(array, np.ndarray) else array
