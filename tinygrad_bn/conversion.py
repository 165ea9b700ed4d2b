"""From whatever a user gives to an array of a supported dtype on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .autograd import Value
from .backend import Device, device_of, get_device
from .dtypes import as_dtype, is_number
from .errors import DTypeError, ShapeError, TinygradBNError, explain


def as_array(where: str, data: Any, dtype: np.dtype[Any] | None) -> tuple[Device, Any]:
    """Return a fresh array with the data, and its device."""
    if isinstance(data, Value):
        data.device.use()
        return data.device, data.data.astype(dtype or data.data.dtype, copy=True)
    device = device_of(data)
    if device is not None or isinstance(data, np.generic):
        array = np.asarray(data) if device is None or isinstance(data, np.ndarray) else data  # no subclass
        own = as_dtype(where, array.dtype)
        device = device or get_device("cpu")
        device.use()
        return device, array.astype(dtype or own, copy=True)
    if isinstance(data, Sequence) and any(isinstance(part, Value) for part in data):
        raise DTypeError(explain(where, "numbers", "a sequence of tensors", "use tg.stack to join tensors"))
    try:
        array = np.asarray(data)
    except TinygradBNError:
        raise
    except (RuntimeError, TypeError) as error:  # of another library's array
        has_graph = getattr(data, "requires_grad", False)
        remedy = "detach() it first" if has_graph else "use tg.from_dlpack where it has DLPack"
        got = f"{type(data).__name__}: {error}"
        raise DTypeError(explain(where, "an array NumPy can read", got, remedy)) from error
    except ValueError as error:
        raise ShapeError(explain(where, "nested sequences of equal lengths", str(error))) from error
    if not is_number(array.dtype):
        raise DTypeError(explain(where, "numbers", f"{type(data).__name__} of {array.dtype}"))
    default = array.dtype if array.dtype.kind == "b" else np.dtype("float32")
    return get_device("cpu"), array.astype(dtype or default, copy=True)
