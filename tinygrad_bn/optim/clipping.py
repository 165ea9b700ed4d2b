"""Clipping gradients before a step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..checks import as_number
from ..combining import stack
from ..errors import DTypeError, GraphError, explain
from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients down together so that their common norm is at most `max_norm`.

    As `torch.nn.utils.clip_grad_norm_`: the factor is min(1, max_norm / (norm + 1e-6)). It stays on the device: a GPU
    need not be waited for, and a captured step can contain it.

    Args:
        parameters: each counts once; those without a gradient are left out.
        max_norm: > 0.
        norm_type: p of the p-norm over all elements, > 0; `math.inf` for the largest magnitude.
        error_if_nonfinite: raise if the norm is infinite or NaN, before anything is changed; this reads the norm.

    Returns:
        The norm before clipping, float64 without axes.

    Raises:
        GraphError: the norm is not finite and `error_if_nonfinite` is set.
    """
    max_norm = as_number("clip_grad_norm_", "max_norm", max_norm, above=0.0)
    if norm_type != math.inf:
        norm_type = as_number("clip_grad_norm_", "norm_type", norm_type, above=0.0)
    gradients = _gradients("clip_grad_norm_", parameters)
    total = _norm(gradients, norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise GraphError(
            explain("clip_grad_norm_", "gradients with a finite norm", str(total.item()), "lower the learning rate")
        )
    factor = (max_norm / (total + 1e-6)).clip(None, 1.0)
    for gradient in gradients:
        scaled = gradient.detach() * factor.to(gradient.device).astype(gradient.dtype)
        gradient.data = scaled.data  # a new array: two parameters may share one
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


def _norm(gradients: list[Tensor], p: float) -> Tensor:
    """Return the p-norm of all elements, summed in float64 so that many small squares are not lost."""
    magnitudes = [abs(gradient.detach()).astype("float64") for gradient in gradients if gradient.size]
    if not magnitudes:
        return Tensor(np.zeros(()), device=gradients[0].device if gradients else None)
    parts = [m.max() if p == math.inf else (m**p).sum() for m in magnitudes]
    together = stack([part.to(parts[0].device) for part in parts])
    return together.max() if p == math.inf else together.sum() ** (1.0 / p)
