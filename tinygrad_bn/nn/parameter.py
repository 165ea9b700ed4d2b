"""Parameters: tensors that an optimiser trains."""

from __future__ import annotations

from typing import Any

from ..backend import Device
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
        super().__init__(data, dtype=dtype, device=device, requires_grad=requires_grad, name=name)


def relocate(tensor: Tensor, device: Device, dtype: Any) -> None:
    """Move a leaf and its gradient to a device and dtype, and keep the object itself, which an optimiser may hold."""
    if tensor.device is device and tensor.dtype == dtype:
        return
    moved = tensor.detach().to(device).astype(dtype)
    tensor.data = moved.data
    tensor.device = device
    tensor._leaf = None  # a leaf of an older graph describes the old dtype
    if tensor.grad is not None:
        relocate(tensor.grad, device, dtype)
