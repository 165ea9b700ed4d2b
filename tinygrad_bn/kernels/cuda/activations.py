"""Activation functions on arrays of any memory order, one launch each way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..reference.activations import FORMULAS, numbers_of
from .base import CudaBase
from .launch import THREADS, width_of
from .layout import is_covered, memory_order, real_of, without_gaps

_PACKS = 4  # of neighbours, for a thread


class Formula(NamedTuple):
    """An activation as the source takes it: what it calls the formula, and two parameters."""

    name: str
    p: float
    q: float


IDENTITY = Formula("identity", 0.0, 0.0)


def formula_of(activation: str, parameters: dict[str, Any]) -> Formula:
    """Return an activation's formula; `parameters` are the activation's own."""
    name = "gelu_tanh" if parameters.get("approximate") == "tanh" else activation
    return Formula(name, *numbers_of(activation, parameters))


class ActivationOverrides(CudaBase):
    """Every activation and its gradient, for arrays that fill one run of memory, in whatever order of axes."""

    def activation(self, name: str, x: Any, parameters: dict[str, Any]) -> Any:
        order = _order_of(name, x)
        if order is None:
            return super().activation(name, x, parameters)
        to_memory, back = order
        x = x.transpose(to_memory)
        out = self.xp.empty(x.shape, x.dtype)
        self._activate("activate", formula_of(name, parameters), x, out)
        return out.transpose(back)

    def activation_grad(self, name: str, grad: Any, x: Any, y: Any, parameters: dict[str, Any]) -> Any:
        source = y if FORMULAS[name].uses == "output" else x
        order = None if source is None else _order_of(name, source)
        if order is None or grad.dtype != source.dtype:
            return super().activation_grad(name, grad, x, y, parameters)
        to_memory, back = order
        grad, source = without_gaps(grad.transpose(to_memory)), source.transpose(to_memory)
        out = self.xp.empty(source.shape, source.dtype)
        self._activate("activate_gradient", formula_of(name, parameters), grad, source, out)
        return out.transpose(back)

    def _activate(self, kernel: str, formula: Formula, *arrays: Any) -> None:
        """Launch a kernel that takes arrays of equal size without gaps, the last one its output."""
        *inputs, out = arrays
        width = width_of(0, *arrays)
        real = real_of(out.dtype).type
        blocks = max(1, -(-out.size // (width * THREADS * _PACKS)))
        settings = (np.int64(out.size), np.int32(width > 1), real(formula.p), real(formula.q))
        self.program.kernel(kernel, out.dtype, formula.name)((blocks,), (THREADS,), (*inputs, *settings, out))


def _order_of(name: str, x: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    return memory_order(x) if FORMULAS[name].uses != "nothing" and is_covered(x.dtype) and x.size > 0 else None
