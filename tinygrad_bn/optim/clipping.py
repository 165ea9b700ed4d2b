"""Clipping gradients before a step."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..checks import as_number
from ..errors import DTypeError, GraphError, explain
from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients down together so that their common norm is at most `max_norm`.

    As `torch.nn.utils.clip_grad_norm_`: the factor is min(1, max_norm / (norm + 1e-6)).

    Args:
        parameters: each counts once; those without a gradient are left out.
        max_norm: > 0.
        norm_type: p of the p-norm over all elements, > 0; `math.inf` for the largest magnitude.
        error_if_nonfinite: raise if the norm is infinite or NaN, before anything is changed.

    Returns:
        The norm before clipping.

    Raises:
        GraphError: the norm is not finite and `error_if_nonfinite` is set.
    """
    max_norm = as_number("clip_grad_norm_", "max_norm", max_norm, above=0.0)
    if norm_type != math.inf:
        norm_type = as_number("clip_grad_norm_", "norm_type", norm_type, above=0.0)
    gradients = _gradients("clip_grad_norm_", parameters)
    norms = [_norm(gradient, norm_type) for gradient in gradients]
    if norm_type == math.inf:
        total = max(norms, default=0.0)
        total = math.nan if any(math.isnan(norm) for norm in norms) else total
    else:
        total = sum(norm**norm_type for norm in norms) ** (1.0 / norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise GraphError(
            explain("clip_grad_norm_", "gradients with a finite norm", str(total), "lower the learning rate")
        )
    factor = max_norm / (total + 1e-6)
    if not factor >= 1.0:
        for gradient in gradients:
            gradient.data = (gradient.detach() * factor).data  # a new array: two parameters may share one
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value]."""
    clip_value = as_number("clip_grad_value_", "clip_value", clip_value, above=0.0)
    for gradient in _gradients("clip_grad_value_", parameters):
        gradient.data = gradient.detach().clip(-clip_value, clip_value).data


def _gradients(where: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    if not isinstance(parameters, Iterable):
        raise DTypeError(explain(where, "parameters: Tensors, or one Tensor", repr(parameters)[:80]))
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for parameter in listed:
        if not isinstance(parameter, Tensor):
            raise DTypeError(explain(where, "parameters that are Tensors", type(parameter).__name__))
    once = {id(parameter): parameter for parameter in listed}
    return [parameter.grad for parameter in once.values() if parameter.grad is not None]


def _norm(gradient: Tensor, p: float) -> float:
    """Return the p-norm of the elements, summed in float64 so that many small squares are not lost."""
    magnitudes = abs(gradient.data).astype("float64")
    if p == math.inf:
        return float(magnitudes.max()) if magnitudes.size else 0.0
    return float((magnitudes**p).sum() ** (1.0 / p))
