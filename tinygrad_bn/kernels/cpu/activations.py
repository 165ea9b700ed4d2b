"""Activation functions on arrays of any memory order, with vectorised transcendental functions."""

from __future__ import annotations

from typing import Any

from ..reference import Kernels
from ..reference.activations import FORMULAS
from .compiler import compiled
from .formulas import call_gradient, call_value, formula_of
from .launch import launch, number_of_parts
from .layout import FLOATS

_CHANNELS_LAST, _CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_RUN = 4096
_NANOSECONDS = 0.3  # per element


class ActivationOverrides(Kernels):
    """Every activation and its gradient in float32; those without exponentials in float64."""

    def activation(self, name: str, x: Any, parameters: dict[str, Any]) -> Any:
        formula = _formula(name, x, parameters)
        orders = _memory_orders(x)
        if formula is None or orders is None:
            return super().activation(name, x, parameters)
        to_memory, back = orders
        x = x.transpose(to_memory)
        out = self.device.memory.empty(x.shape, x.dtype)
        pieces = -(-x.size // _RUN)
        parts = number_of_parts(pieces, x.size * _NANOSECONDS)
        launch(activate, pieces, parts, x.reshape(-1), out.reshape(-1), formula)
        return out.transpose(back)

    def activation_grad(self, name: str, grad: Any, x: Any, y: Any, parameters: dict[str, Any]) -> Any:
        formula = _formula(name, grad, parameters)
        source = y if formula is not None and formula.from_output else x
        orders = None if formula is None or source is None else _memory_orders(source)
        if orders is None or grad.dtype != source.dtype:
            return super().activation_grad(name, grad, x, y, parameters)
        to_memory, back = orders
        source, grad = source.transpose(to_memory), grad.transpose(to_memory)
        if not grad.flags.carray:
            grad = grad.copy()
        out = self.device.memory.empty(source.shape, source.dtype)
        pieces = -(-source.size // _RUN)
        parts = number_of_parts(pieces, source.size * _NANOSECONDS)
        launch(activate_grad, pieces, parts, grad.reshape(-1), source.reshape(-1), out.reshape(-1), formula)
        return out.transpose(back)


def _formula(name: str, x: Any, parameters: dict[str, Any]) -> Any:
    if name not in FORMULAS or FORMULAS[name].uses == "nothing" or x.dtype not in FLOATS or x.size == 0:
        return None
    return formula_of(name, parameters, x.dtype)


_Order = tuple[int, ...]


def _memory_orders(x: Any) -> tuple[_Order, _Order] | None:
    """Return the axes of x from the slowest to the fastest in memory, and those that turn this order back.

    None where the elements do not fill one run of memory, are not aligned, or may not be written to: such an array has
    another Numba type.
    """
    if not x.flags.behaved:
        return None
    if x.flags.c_contiguous:
        axes = tuple(range(x.ndim))
        return axes, axes
    if x.ndim == 4 and x.transpose(_CHANNELS_LAST).flags.c_contiguous:
        return _CHANNELS_LAST, _CHANNELS_FIRST
    axes = tuple(sorted(range(x.ndim), key=lambda axis: -x.strides[axis]))
    return (axes, tuple(map(axes.index, range(x.ndim)))) if x.transpose(axes).flags.c_contiguous else None


@compiled
def activate(part: int, first: int, last: int, x: Any, out: Any, formula: Any) -> None:
    """out = act(x), in pieces of _RUN elements."""
    start, end = first * _RUN, min(last * _RUN, x.size)
    call_value(formula.value, x[start:end], out[start:end], formula.p, formula.q)


@compiled
def activate_grad(part: int, first: int, last: int, grad: Any, source: Any, out: Any, formula: Any) -> None:
    """out = grad * slope(source), in pieces of _RUN elements."""
    start, end = first * _RUN, min(last * _RUN, out.size)
    call_gradient(formula.gradient, grad[start:end], source[start:end], out[start:end], formula.p, formula.q)
