"""Euclidean norms of arrays on any device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...backend import Device


def norms(arrays: Sequence[Any], device: Device) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the Euclidean norm of each of several arrays of a device.

    Summed in float64, so that squares of float32 neither overflow nor lose digits, and without linear algebra's
    library, so that the number of its threads changes no bit. The device is read once, for all norms together.

    >>> from tinygrad_bn import get_device
    >>> norms([np.array([3.0, 4.0]), np.full((2, 2), 0.5)], get_device("cpu"))
    array([5., 1.])
    """
    if not arrays:
        return np.zeros(0)
    xp = device.use()
    with np.errstate(all="ignore"):
        squares = xp.stack([xp.square(array, dtype=np.float64).sum() for array in arrays])
        return np.sqrt(np.asarray(device.to_host(squares), dtype=np.float64))
