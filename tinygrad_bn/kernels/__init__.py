"""Array-level mathematics: one contract, and providers that fulfil it.

`reference.Kernels` defines every kernel once, against the array module, so that the same code computes on NumPy and
on CuPy. A faster provider subclasses it and overrides what is hot. No kernel ever sees a Tensor.
"""

from __future__ import annotations

import os

from ..backend import Device
from ..errors import unknown_choice
from .reference import Kernels

__all__ = ["PROVIDERS", "Kernels", "kernels_of"]

PROVIDERS: dict[str, type[Kernels]] = {"reference": Kernels}
"""Every provider by its name; the environment variable TINYGRAD_BN_KERNELS forces one."""


def kernels_of(device: Device) -> Kernels:
    """Return the kernels that serve a device.

    Raises:
        ArgumentError: TINYGRAD_BN_KERNELS names a provider that does not exist.
    """
    if device.kernels is None:
        name = os.environ.get("TINYGRAD_BN_KERNELS", "reference")
        if name not in PROVIDERS:
            raise unknown_choice("TINYGRAD_BN_KERNELS", "the kernel provider", name, PROVIDERS)
        device.kernels = PROVIDERS[name](device.xp)
    kernels: Kernels = device.kernels
    return kernels
