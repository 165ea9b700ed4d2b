"""Checks of tensor arguments that the functions of this package share."""

from __future__ import annotations

from typing import Any

from ..dtypes import is_floating
from ..errors import ArgumentError, DeviceError, DTypeError, ShapeError, explain, unknown_choice
from ..tensor import Tensor

REDUCTIONS = ("none", "mean", "sum")


def check_floating(where: str, what: str, value: Any) -> Tensor:
    """Return a floating-point tensor argument after checking that it is one."""
    if not isinstance(value, Tensor):
        raise DTypeError(explain(where, f"{what} to be a Tensor", type(value).__name__, "wrap it with tg.tensor(...)"))
    if not is_floating(value.data.dtype):
        raise DTypeError(explain(where, f"{what} of a floating-point dtype", str(value.dtype), "use astype('float32')"))
    return value


def check_parameter(where: str, what: str, value: Any, shape: tuple[int, ...], dtype: Any, wider: bool = False) -> None:
    """Check an optional parameter: a tensor of that shape and dtype (`wider`: float32 beside 16 bits is fine, too)."""
    if value is None:
        return
    array = check_floating(where, what, value).data
    if array.shape != shape:
        raise ShapeError(explain(where, f"{what} of shape {shape}", str(value.shape)))
    if array.dtype != dtype and not (wider and array.dtype.itemsize > dtype.itemsize):
        raise DTypeError(explain(where, f"{what} of the input's dtype {dtype}", str(value.dtype), "use astype"))


def check_devices(where: str, first: Tensor, *others: Tensor | None) -> None:
    """Check that all operands live on the first one's device."""
    for other in others:
        if other is not None and other.device is not first.device:
            devices = f"{first.device} and {other.device}"
            raise DeviceError(explain(where, "operands on one device", devices, "move one with .to(...)"))


def check_images(where: str, value: Any) -> tuple[Tensor, bool]:
    """Return images as (N, C, H, W) and whether a batch axis was added to (C, H, W)."""
    images = check_floating(where, "input", value)
    dimensions = images.ndim
    if dimensions == 3:
        return images.unsqueeze(0), True
    if dimensions != 4:
        raise ShapeError(
            explain(where, "input of 4 dimensions (N, C, H, W), or 3 without a batch", f"shape {images.shape}")
        )
    return images, False


def reduce_loss(where: str, losses: Tensor, reduction: str) -> Tensor:
    """Return the losses as they are, their mean or their sum."""
    if reduction not in REDUCTIONS:
        raise unknown_choice(where, "reduction", reduction, REDUCTIONS)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def no_inplace(where: str, inplace: bool) -> None:
    """Refuse PyTorch's `inplace=True`: operations here never change their inputs."""
    if inplace:
        raise ArgumentError(explain(where, "inplace=False", "inplace=True", "use the returned tensor"))
