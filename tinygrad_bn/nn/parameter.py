"""Parameters: tensors that an optimiser trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Device
from ..backend.capturing import refuse_host_array
from ..kernels import kernels_of
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that belongs to a module and is trained; assigning one to a module's attribute registers it.

    Args:
        data: as for `Tensor`; always copied.
        requires_grad: False freezes it.
        dtype, device, name: as for `Tensor`.

    >>> Parameter([1.0, 2.0]).requires_grad
    True
    """

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        requires_grad: bool = True,
        *,
        dtype: Any = None,
        device: str | Device | None = None,
        name: str | None = None,
    ) -> None:
        refuse_host_array(data)
        super().__init__(data, dtype=dtype, device=device, requires_grad=requires_grad, name=name)
        self.data = _laid_out(self.device, self.data)


def relocate(tensor: Tensor, device: Device, dtype: Any) -> None:
    """Move a leaf and its gradient to a device and dtype, and keep the object itself, which an optimiser may hold."""
    if tensor.device is device and tensor.dtype == dtype:
        return
    moved = tensor.detach().to(device).astype(dtype)
    tensor.data = _laid_out(device, moved.data)
    tensor.device = device
    tensor._leaf = None  # a leaf of an older graph describes the old dtype
    if tensor.grad is not None:
        relocate(tensor.grad, device, dtype)


def _laid_out(device: Device, array: Any) -> Any:
    """Return an array in the memory order in which the device's kernels read parameters; on the CPU any will do."""
    return array if device.xp is np else kernels_of(device).laid_out(array)
