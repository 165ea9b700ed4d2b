"""Exchanging weights with PyTorch, which is not imported: layers and keys have the same names here.

load_torch_state_dict(model, torch_model.state_dict())

torch_model.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch_state_dict(model).items()})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..creation import from_dlpack
from ..dtypes import is_bfloat16
from ..errors import DTypeError, StateError, TinygradBNError, explain
from ..nn import Module
from ..nn.state import LoadResult


def load_torch_state_dict(model: Module, torch_state: Mapping[str, Any], strict: bool = True) -> LoadResult:
    """Copy a PyTorch state into a module of the same structure.

    Args:
        model: its names must be those of the state, as for the same layers built with `torch.nn`.
        torch_state: what `state_dict()` of a `torch.nn.Module` returns, on any device.
        strict: also refuse names that are missing or unexpected.

    Raises:
        StateError: names, shapes or dtypes do not fit; nothing was loaded.
    """
    where = "load_torch_state_dict"
    if not isinstance(torch_state, Mapping):
        raise DTypeError(explain(where, "a mapping from names to PyTorch tensors", type(torch_state).__name__))
    converted = {}
    for name, value in torch_state.items():
        try:
            converted[name] = from_dlpack(value.detach().cpu())
        except (AttributeError, BufferError, RuntimeError, TypeError, TinygradBNError) as error:
            got = f"{type(value).__name__} ({error})"
            raise StateError(explain(where, f"{name} to be a PyTorch tensor of a dtype of NumPy", got)) from error
    return model.load_state_dict(converted, strict)


def to_torch_state_dict(model: Module) -> dict[str, np.ndarray]:
    """Return copies of a module's parameters and buffers as NumPy arrays, by the names that PyTorch gives them.

    Those of bfloat16, which PyTorch takes no NumPy arrays of, come as float32; its modules take them as they need them.
    """
    return {
        name: np.array(tensor, dtype="float32" if is_bfloat16(tensor.dtype) else None)
        for name, tensor in model.state_dict().items()
    }
