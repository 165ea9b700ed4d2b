"""Sharing memory with other array libraries through DLPack."""

from __future__ import annotations

from typing import Any

from ..creation import from_dlpack
from ..errors import DTypeError, explain
from ..tensor import Tensor

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Tensor) -> Any:
    """Return a DLPack capsule of a tensor's memory, for libraries that take one; the gradient is left behind.

    Most libraries take the tensor itself: `torch.from_dlpack(tensor.detach())`.
    """
    if not isinstance(tensor, Tensor):
        raise DTypeError(explain("to_dlpack", "a Tensor", type(tensor).__name__))
    return tensor.detach().__dlpack__()
