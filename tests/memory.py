"""Which memory arrays show, whatever device they are on."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn.backend import device_of


def shares_memory(a: Any, b: Any) -> bool:
    """Return whether two tensors or arrays show some of the same memory."""
    a, b = (value.data if isinstance(value, tg.Tensor) else value for value in (a, b))
    device = device_of(a)
    return device is device_of(b) and bool(device.xp.shares_memory(a, b))


def on_host(array: Any) -> np.ndarray:
    """Return an array of any device as NumPy's."""
    return device_of(array).to_host(array)
