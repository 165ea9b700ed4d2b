"""Loading a saved state into a module's tensors: everything fits, or nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..autograd import no_grad
from ..backend import device_of
from ..backend.capturing import refuse_host_operand
from ..creation import from_array, from_dlpack
from ..errors import DTypeError, StateError, TinygradBNError, explain
from ..tensor import Tensor


class LoadResult(NamedTuple):
    """What `load_state_dict(strict=False)` left out.

    Attributes:
        missing_keys: names that the module has and the state has not.
        unexpected_keys: names that the state has and the module has not.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


def load(where: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any], strict: bool) -> LoadResult:
    """Copy a state into tensors of the same names; see `Module.load_state_dict`."""
    where = f"{where}.load_state_dict"
    if not isinstance(state, Mapping):
        raise DTypeError(explain(where, "a mapping from names to tensors", type(state).__name__))
    result = LoadResult([n for n in tensors if n not in state], [n for n in state if n not in tensors])
    values = {name: _as_tensor(where, name, value) for name, value in state.items() if name in tensors}
    misfits = [
        f"{name} of shape {value.shape} and dtype {value.dtype} instead of {tensors[name].shape} {tensors[name].dtype}"
        for name, value in values.items()
        if value.shape != tensors[name].shape or not np.can_cast(value.dtype, tensors[name].dtype, "same_kind")
    ]
    problems = [f"not fitting: {_listed(misfits)}"] if misfits else []
    if strict and result.missing_keys:
        problems.append(f"missing: {_listed(result.missing_keys)}")
    if strict and result.unexpected_keys:
        problems.append(f"unexpected: {_listed(result.unexpected_keys)}")
    if problems:
        raise StateError(
            explain(where, "the names and shapes of this module's state", "; ".join(problems), "nothing was loaded")
        )
    copies = {name: Tensor(value.data) for name, value in values.items()}  # a value may be one of these very tensors
    with no_grad():
        for name, copy in copies.items():
            tensors[name].assign_(copy)
    return result


def _as_tensor(where: str, name: str, value: Any) -> Tensor:
    """Return a value of a state as a tensor, without copying it."""
    if isinstance(value, Tensor):
        return value
    refuse_host_operand(value)
    try:
        return from_array(value) if device_of(value) is not None else from_dlpack(value)
    except (TinygradBNError, BufferError, ValueError, TypeError) as error:
        raise StateError(
            explain(where, f"{name} to be a tensor or an array", f"{type(value).__name__}: {error}")
        ) from error


def _listed(names: Iterable[str]) -> str:
    """Return names separated by commas; a long list is cut short."""
    words = list(names)
    return ", ".join(words) if len(words) <= 20 else f"{', '.join(words[:20])} and {len(words) - 20} more"
