"""Value and slope of the activation functions, compiled: what `kernels/reference/activations.py` says, per element.

A formula is a pair: `value(x, p, q)`, and `slope(s, p, q)` of the input or of the output, whichever the reference's
formula uses. p and q are its parameters. Each pair is compiled into two functions on runs of memory, and kernels call
those by their address: so there is one copy of each, however many kernels there are, and no choice inside a loop. Two
more are compiled where the activation follows a normalisation, which they do on the way.
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

from ..reference.activations import FORMULAS, numbers_of
from .compiler import compiled_address
from .piecewise import piecewise
from .smooth import SMOOTH


class Formula(NamedTuple):
    """An activation ready to be called from a kernel.

    Attributes:
        value: address of a function that computes the activation of a run of numbers; 0 is the identity.
        gradient: address of a function that multiplies a run of numbers with the slope.
        from_output: whether `gradient` wants the activation's output, or else its input.
        p, q: the parameters.
    """

    value: int
    gradient: int
    from_output: bool
    p: float
    q: float


IDENTITY = Formula(0, 0, False, 0.0, 0.0)


def formula_of(activation: str, parameters: dict[str, Any], dtype: Any, normalized: bool = False) -> Formula | None:
    """Return an activation's formula for float32 or float64, or None where there is none.

    Args:
        normalized: its functions are those for `call_normalized_value` and `call_normalized_gradient`.
    """
    if activation == "identity":
        return IDENTITY
    name = "gelu tanh" if parameters.get("approximate") == "tanh" else activation
    from_output = FORMULAS[activation].uses == "output"
    addresses = _addresses(name, dtype, normalized, from_output)
    if addresses is None:
        return None
    return Formula(*addresses, from_output, *numbers_of(activation, parameters))


@cache
def _addresses(name: str, dtype: Any, normalized: bool, from_output: bool) -> tuple[int, int] | None:
    pair = _formulas(dtype).get(name)
    if pair is None:
        return None
    value, slope = pair
    if normalized:
        functions = [
            (_normalized_value(value, dtype.type), 5),
            (_normalized_gradient(value, slope, from_output, dtype.type), 6),
        ]
    else:
        functions = [(_value(value, dtype.type), 2), (_gradient(slope, dtype.type), 3)]
    run = types.CPointer(from_dtype(dtype))
    size, number = types.int64, types.float64
    first, second = (
        compiled_address(types.void(size, *[run] * arrays, number, number), function, f"{name} {dtype.name}")
        for function, arrays in functions
    )
    return first, second


def _value(value: Any, scalar: Any) -> Callable[..., None]:
    def run(size: int, x: Any, out: Any, p: float, q: float) -> None:
        inputs, outputs = carray(x, (size,)), carray(out, (size,))
        p_here, q_here = scalar(p), scalar(q)
        for i in range(size):
            outputs[i] = value(inputs[i], p_here, q_here)

    return run


def _gradient(slope: Any, scalar: Any) -> Callable[..., None]:
    def run(size: int, grad: Any, source: Any, out: Any, p: float, q: float) -> None:
        grads, sources, outputs = carray(grad, (size,)), carray(source, (size,)), carray(out, (size,))
        p_here, q_here = scalar(p), scalar(q)
        for i in range(size):
            outputs[i] = grads[i] * slope(sources[i], p_here, q_here)

    return run


def _normalized_value(value: Any, scalar: Any) -> Callable[..., None]:
    def run(size: int, x: Any, center: Any, scale: Any, shift: Any, out: Any, p: float, q: float) -> None:
        inputs, outputs = carray(x, (size,)), carray(out, (size,))
        centers, scales, shifts = carray(center, (size,)), carray(scale, (size,)), carray(shift, (size,))
        p_here, q_here = scalar(p), scalar(q)
        for i in range(size):
            outputs[i] = value((inputs[i] - centers[i]) * scales[i] + shifts[i], p_here, q_here)

    return run


def _normalized_gradient(value: Any, slope: Any, from_output: bool, scalar: Any) -> Callable[..., None]:
    def run(size: int, grad: Any, x: Any, center: Any, scale: Any, shift: Any, out: Any, p: float, q: float) -> None:
        grads, inputs, outputs = carray(grad, (size,)), carray(x, (size,)), carray(out, (size,))
        centers, scales, shifts = carray(center, (size,)), carray(scale, (size,)), carray(shift, (size,))
        p_here, q_here = scalar(p), scalar(q)
        for i in range(size):
            z = (inputs[i] - centers[i]) * scales[i] + shifts[i]
            source = value(z, p_here, q_here) if from_output else z
            outputs[i] = grads[i] * slope(source, p_here, q_here)

    return run


def _call_value(typing_context: Any, address: Any, x: Any, out: Any, p: Any, q: Any) -> Any:
    """Fill the one-dimensional array `out` with the activation of x; they must not overlap."""
    return types.void(address, x, out, p, q), _call


def _call_gradient(typing_context: Any, address: Any, grad: Any, source: Any, out: Any, p: Any, q: Any) -> Any:
    """Fill the one-dimensional array `out` with grad times the slope; it must not overlap the others."""
    return types.void(address, grad, source, out, p, q), _call


def _call_normalized_value(
    typing_context: Any, address: Any, x: Any, center: Any, scale: Any, shift: Any, out: Any, p: Any, q: Any
) -> Any:
    """Fill `out` with the activation of (x - center) * scale + shift; it must not overlap the others."""
    return types.void(address, x, center, scale, shift, out, p, q), _call


def _call_normalized_gradient(
    typing_context: Any, address: Any, grad: Any, x: Any, center: Any, scale: Any, shift: Any, out: Any, p: Any, q: Any
) -> Any:
    """Fill `out` with grad times the slope at (x - center) * scale + shift; it must not overlap the others."""
    return types.void(address, grad, x, center, scale, shift, out, p, q), _call


def _call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address, *arrays, p, q = arguments
    made = [context.make_array(kind)(context, builder, a) for kind, a in zip(signature.args[1:-2], arrays, strict=True)]
    size = builder.extract_value(made[-1].shape, 0)
    passed = [size, *(array.data for array in made), p, q]
    function = ir.FunctionType(ir.VoidType(), [value.type for value in passed]).as_pointer()
    builder.call(builder.inttoptr(address, function), passed)
    return context.get_dummy_value()


call_value: Any = intrinsic(_call_value)
call_gradient: Any = intrinsic(_call_gradient)
call_normalized_value: Any = intrinsic(_call_normalized_value)
call_normalized_gradient: Any = intrinsic(_call_normalized_gradient)


@cache
def _formulas(dtype: Any) -> dict[str, tuple[Any, Any]]:
    return piecewise(dtype.type) | (SMOOTH if dtype == np.float32 else {})
