"""Functions of several tensors: joining them, and choosing between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import ops
from .autograd import Op, apply
from .backend.capturing import refuse_host_operand
from .checks import normalize_axis
from .dtypes import is_floating, promoted
from .errors import DTypeError, ShapeError, explain
from .tensor import Tensor, as_operand


def concatenate(tensors: Iterable[Tensor], axis: int = 0) -> Tensor:
    """Join tensors along an existing axis; all other lengths must agree. Integers join floats as floats.

    >>> import tinygrad_bn as tg
    >>> concatenate([tg.zeros(2, 3), tg.ones(1, 3)]).shape
    (3, 3)
    """
    parts = _tensors("concatenate", tensors)
    d = normalize_axis("concatenate", axis, parts[0].ndim)
    for part in parts[1:]:
        if part.ndim != parts[0].ndim or any(
            a != b for i, (a, b) in enumerate(zip(part.shape, parts[0].shape, strict=True)) if i != d
        ):
            shapes = ", ".join(str(p.shape) for p in parts)
            raise ShapeError(explain("concatenate", f"equal lengths except along axis {d}", shapes))
    floats = [part.dtype for part in parts if is_floating(part.dtype)]
    if floats:
        target = promoted(*floats)
        parts = [part if part.dtype == target else part.astype(target) for part in parts]
    result: Tensor = apply(ops.Concatenate(d), *parts)
    return result


def stack(tensors: Iterable[Tensor], axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis."""
    parts = _tensors("stack", tensors)
    for part in parts[1:]:
        if part.shape != parts[0].shape:
            raise ShapeError(explain("stack", f"tensors of one shape, {parts[0].shape}", str(part.shape)))
    d = normalize_axis("stack", axis, parts[0].ndim + 1)
    return concatenate([part.unsqueeze(d) for part in parts], d)


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """Return a where the condition holds, b elsewhere; operands broadcast, numbers take the other one's dtype."""
    if not isinstance(condition, Tensor):
        refuse_host_operand(condition)
        condition = Tensor(condition, device=next((t.device for t in (a, b) if isinstance(t, Tensor)), None))
    if condition.dtype.kind != "b":
        condition = condition != 0
    first, second = as_operand("where", a), as_operand("where", b)
    if not isinstance(first, Tensor) and not isinstance(second, Tensor):
        first = Tensor(first, device=condition.device)
    result: Tensor = ops.where(condition, first, second)
    return result


def maximum(a: Any, b: Any) -> Tensor:
    """Return the larger of two operands; where they are equal, each takes half of the gradient."""
    return _extremum(ops.Maximum(), a, b)


def minimum(a: Any, b: Any) -> Tensor:
    """Return the smaller of two operands; where they are equal, each takes half of the gradient."""
    return _extremum(ops.Minimum(), a, b)


def _extremum(op: Op, a: Any, b: Any) -> Tensor:
    operands = as_operand(op.name, a), as_operand(op.name, b)
    if not any(isinstance(operand, Tensor) for operand in operands):
        raise DTypeError(explain(op.name, "at least one tensor", f"{a!r} and {b!r}"))
    result: Tensor = apply(op, *operands)
    return result


def _tensors(where: str, tensors: Iterable[Tensor]) -> list[Tensor]:
    if not isinstance(tensors, Iterable):
        raise DTypeError(explain(where, "a sequence of tensors", type(tensors).__name__))
    parts = list(tensors)
    if not parts:
        raise ShapeError(explain(where, "at least one tensor", "none"))
    for part in parts:
        if not isinstance(part, Tensor):
            raise DTypeError(explain(where, "tensors", type(part).__name__))
    return parts
