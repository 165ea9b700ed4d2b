"""Value and slope of the activation functions, compiled: what `kernels/reference/activations.py` says, per element.

A formula is a pair: `value(x, p, q)`, and `slope(s, p, q)` of the input or of the output, whichever the reference's
formula uses. p and q are its parameters. Each pair is compiled into two functions on runs of memory, and kernels call
those by their address: so there is one copy of each, however many kernels there are, and no choice inside a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.numpy_support import carray, from_dtype

from ..reference.activations import FORMULAS
from .compiler import compiled_address
from .piecewise import piecewise
from .smooth import SMOOTH


class Formula(NamedTuple):
    """An activation ready to be called from a kernel.

    Attributes:
        value: address of a function that computes the activation of a run of numbers; 0 is the identity.
        gradient: address of a function that multiplies a run of numbers with the slope.
        from_output: whether the function for the gradient wants the activation's output, or else its input.
        p, q: the parameters.
    """

    value: int
    gradient: int
    from_output: bool
    p: float
    q: float


IDENTITY = Formula(0, 0, False, 0.0, 0.0)

_PARAMETERS = {
    "penalized_tanh": ("scale",),
    "shifted_tanh": ("shift",),
    "hardtanh": ("min_val", "max_val"),
    "leaky_relu": ("negative_slope",),
    "elu": ("alpha",),
    "celu": ("alpha",),
    "softplus": ("beta", "threshold"),
}


def formula_of(activation: str, parameters: dict[str, Any], dtype: Any, only_input: bool = False) -> Formula | None:
    """Return an activation's formula for float32 or float64, or None where there is none.

    Args:
        only_input: let the slope be computed from the input, whatever the reference's formula uses.
    """
    if activation == "identity":
        return IDENTITY
    name = "gelu tanh" if parameters.get("approximate") == "tanh" else activation
    from_output = FORMULAS[activation].uses == "output"
    addresses = _addresses(name, dtype, only_input and from_output)
    if addresses is None:
        return None
    numbers = [float(parameters[key]) for key in _PARAMETERS.get(activation, ())]
    p, q = (*numbers, 0.0, 0.0)[:2]
    return Formula(*addresses, from_output and not only_input, p, q)


@cache
def _addresses(name: str, dtype: Any, activate_first: bool) -> tuple[int, int] | None:
    """Return the addresses of a formula's two functions; `activate_first` gives the slope the value of the input."""
    pair = _formulas(dtype).get(name)
    if pair is None:
        return None
    kind = dtype.type
    run = types.CPointer(from_dtype(dtype))  # type: ignore[no-untyped-call]
    size, number = types.int64, types.float64
    variant = f"{name} {dtype.name}"
    value = compiled_address(types.void(size, run, run, number, number), _over_run(pair[0], kind), variant)
    signature = types.void(size, run, run, run, number, number)
    if activate_first:
        return value, compiled_address(signature, _times_slope_of_value(*pair, kind), variant)
    return value, compiled_address(signature, _times_slope(pair[1], kind), variant)


def _over_run(value: Any, scalar: Any) -> Callable[..., None]:
    def run(size: int, x: Any, out: Any, p: float, q: float) -> None:
        inputs, outputs = carray(x, (size,)), carray(out, (size,))
        p_here, q_here = scalar(p), scalar(q)
        for i in range(size):
            outputs[i] = value(inputs[i], p_here, q_here)

    return run


def _times_slope(slope: Any, scalar: Any) -> Callable[..., None]:
    def run(size: int, grad: Any, source: Any, out: Any, p: float, q: float) -> None:
        grads, sources, outputs = carray(grad, (size,)), carray(source, (size,)), carray(out, (size,))
        p_here, q_here = scalar(p), scalar(q)
        for i in range(size):
            outputs[i] = grads[i] * slope(sources[i], p_here, q_here)

    return run


def _times_slope_of_value(value: Any, slope: Any, scalar: Any) -> Callable[..., None]:
    def run(size: int, grad: Any, source: Any, out: Any, p: float, q: float) -> None:
        grads, sources, outputs = carray(grad, (size,)), carray(source, (size,)), carray(out, (size,))
        p_here, q_here = scalar(p), scalar(q)
        for i in range(size):
            outputs[i] = grads[i] * slope(value(sources[i], p_here, q_here), p_here, q_here)

    return run


def _call_value(typing_context: Any, address: Any, x: Any, out: Any, p: Any, q: Any) -> Any:
    """Fill the one-dimensional array `out` with the activation of x; they must not overlap."""
    return types.void(address, x, out, p, q), _call


call_value: Any = intrinsic(_call_value)


def _call_gradient(typing_context: Any, address: Any, grad: Any, source: Any, out: Any, p: Any, q: Any) -> Any:
    """Fill the one-dimensional array `out` with grad times the slope; it must not overlap the others."""
    return types.void(address, grad, source, out, p, q), _call


call_gradient: Any = intrinsic(_call_gradient)


def _call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, *arrays, p, q = arguments
    made = [context.make_array(kind)(context, builder, a) for kind, a in zip(signature.args[1:-2], arrays, strict=True)]
    size = builder.extract_value(made[-1].shape, 0)
    passed = [size, *(array.data for array in made), p, q]
    function = ir.FunctionType(ir.VoidType(), [value.type for value in passed]).as_pointer()
    builder.call(builder.inttoptr(address, function), passed)
    return context.get_dummy_value()


@cache
def _formulas(dtype: Any) -> dict[str, tuple[Any, Any]]:
    return piecewise(dtype.type) | (SMOOTH if dtype == np.float32 else {})
