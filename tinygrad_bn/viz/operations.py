"""What a drawing says about an operation: its role, its label, its attributes, and its arguments' names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import ops
from ..autograd import FusedOp, Op
from ..errors import DTypeError, explain, unknown_choice
from .records import Attributes, Role

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("conv2d", "conv2d_input_grad", "conv2d_weight_grad", "linear", "matmul"), Role.WEIGHT),
    **dict.fromkeys(("batch_norm", "batch_norm_eval", "norm_act", "norm_act_eval"), Role.NORM),
    **dict.fromkeys(("prelu", "softmax", "log_softmax", *ops.TRAITS), Role.ACTIVATION),
    **dict.fromkeys(("max_pool2d", "max_pool2d_scatter", "max_pool2d_gather"), Role.POOL),
    **dict.fromkeys(("avg_pool2d", "avg_pool2d_grad", "adaptive_avg_pool2d"), Role.POOL),
    "cross_entropy": Role.LOSS,
    **dict.fromkeys(("alias", "astype", "broadcast_to", "concatenate", "copy", "getitem", "pad"), Role.SHAPE),
    **dict.fromkeys(("reshape", "scatter_add", "to_device", "transpose"), Role.SHAPE),
}

COMMUTATIVE = ("add", "mul", "maximum", "minimum", "concatenate")

_ARITHMETIC_SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "pow": "^"}
_FUNCTION_SIGNS = {"neg": "−x", "sqrt": "√x", "rsqrt": "1 / √x"}
_COMPARISON_SIGNS = {
    "less": "<",
    "less_equal": "≤",
    "greater": ">",
    "greater_equal": "≥",
    "equal": "=",
    "not_equal": "≠",
}
_SIGNS = {**_ARITHMETIC_SIGNS, **_FUNCTION_SIGNS, **_COMPARISON_SIGNS}

_OPENS = {
    "batch_norm": ("batch_norm", "batch_norm_eval", "norm_act", "norm_act_eval"),
    "norm_act": ("norm_act", "norm_act_eval"),
}
"""Fused operations that one word opens together; norm_act opens into batch_norm and the activation."""


def role_of(op: Op) -> Role:
    """Return what an operation is for; arithmetic where nothing else fits."""
    return _ROLES.get(op.name, Role.ARITHMETIC)


def label_of(op: Op) -> str:
    """Return an operation's name; a general one, such as compare, is called by the function that it stands for.

    BatchNorm is batch_norm in both modes, and so is norm_act; `attributes_of` tells them apart.
    """
    if isinstance(op, ops.BatchNormEval | ops.NormActEval):
        return op.name.removesuffix("_eval")
    function = getattr(op, "function", None)
    return function if isinstance(function, str) and function else op.name


def sign_of(label: str) -> str:
    """Return the sign for an arithmetic operation that has one, otherwise its name."""
    return _SIGNS.get(label, label)


def operands(attributes: Attributes, inputs: int) -> dict[str, str]:
    """Return the numbers among an arithmetic operation's operands, which stand beside its sign, by the argument's name.

    Args:
        attributes: of the operation.
        inputs: how many tensors it reads.
    """
    numbers = {name: value for name, value in attributes if name in ("a", "b")}
    # Otherwise neither side of the sign says which argument it is.
    return numbers if len(numbers) + inputs <= 2 else {}


def signed(sign: str, numbers: Mapping[str, str]) -> str:
    """Write a sign between the numbers that it stands beside.

    >>> signed("−", {"a": "1"}), signed("×", {"b": "0.5"}), signed("+", {})
    ('1 −', '× 0.5', '+')
    """
    return " ".join(word for word in (numbers.get("a", ""), sign, numbers.get("b", "")) if word)


def argument_names(op: Op, count: int) -> tuple[str, ...]:
    """Return the names of an operation's inputs, from its forward's signature."""
    names = _parameters(type(op).forward)
    return names if len(names) == count else tuple(str(i) for i in range(count))


@functools.cache
def _parameters(forward: Callable[..., Any]) -> tuple[str, ...]:
    parameters = list(inspect.signature(forward).parameters.values())[2:]  # after self and kernels
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)


def attributes_of(op: Op) -> Attributes:
    """Return the attributes of an operation that a reader wants to see; those with their default value are left out.

    >>> attributes_of(ops.Conv2d(ops.Window(stride=(2, 2), padding=((1, 1), (1, 1)))))
    (('stride', '2'), ('padding', '1'))
    """
    found: list[tuple[str, str]] = []
    if role_of(op) is Role.NORM:
        of_batch = isinstance(op, ops.BatchNorm | ops.NormAct)
        found.append(("uses", "batch statistics" if of_batch else "running statistics"))
    for name, value in vars(op).items():
        if name == "window":
            found += _window(op, value)
        elif name == "parameters":
            found += [(key, _number(entry)) for key, entry in value.items()]
        elif name in ("eps", "order", "activation", "axes", "axis", "low", "high", "widths", "dtype"):
            found.append((name, _number(value)))
        elif name == "out_size":
            found.append(("output", _size(value)))
        elif name == "shape" and isinstance(op, ops.Reshape | ops.BroadcastTo):
            found.append(("to", "×".join(map(str, value)) or "scalar"))
    return tuple(found)


def _window(op: Op, window: Any) -> list[tuple[str, str]]:
    kernel = getattr(window, "kernel", None) or getattr(op, "kernel", None)
    values = [
        ("kernel", _size(kernel) if kernel else "", ""),
        ("stride", _steps(window.stride), "1"),
        ("padding", _steps(window.padding), "0"),
        ("dilation", _steps(window.dilation), "1"),
        ("groups", str(getattr(window, "groups", 1)), "1"),
    ]
    return [(name, text) for name, text, default in values if text != default]


def _size(pair: Any) -> str:
    return f"{pair[0]}×{pair[1]}"


def _steps(value: Any) -> str:
    """Write (2, 2) as 2, (2, 1) as 2×1, and ((1, 1), (1, 1)) as 1."""
    if isinstance(value[0], tuple):
        value = tuple(sides[0] if len(set(sides)) == 1 else f"({sides[0]}, {sides[1]})" for sides in value)
    return str(value[0]) if value[0] == value[1] else f"{value[0]}×{value[1]}"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple) and len(value) == 1:
        return str(value[0])
    return str(value)


@functools.cache
def _openable() -> tuple[str, ...]:
    kinds = [value for value in vars(ops).values() if isinstance(value, type) and issubclass(value, FusedOp)]
    return tuple(sorted({kind.name for kind in kinds if kind.name} | set(ops.TRAITS)))


def names_to_open(expand: Iterable[str] | str) -> frozenset[str]:
    """Return the operations to open, "batch_norm" and "norm_act" standing for training and evaluation.

    Raises:
        ArgumentError: there is no fused operation of that name.
        DTypeError: something that is no name.
    """
    if not isinstance(expand, str | Iterable):
        raise DTypeError(explain("draw", "expand to be names of operations", repr(expand)[:80]))
    words = (expand,) if isinstance(expand, str) else tuple(expand)
    for word in words:
        if word not in _openable():
            raise unknown_choice("draw", "expand", word, _openable())
    return frozenset(name for word in words for name in _OPENS.get(word, (word,)))
