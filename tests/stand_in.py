"""An array module that stands in for a GPU's: what passes here goes through `xp` alone.

Its arrays hold NumPy arrays and refuse to become one, as CuPy's do; its functions take no NumPy arrays, only its own;
and it has only functions that CuPy has too. A kernel that reaches for NumPy, or that mixes host and device, fails.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinygrad_bn.backend import Device

# Of CuPy's functions (its reference lists them) those that an engine like this could want.
FUNCTIONS = frozenset(
    [
        "abs",
        "absolute",
        "add",
        "all",
        "any",
        "arange",
        "arccos",
        "arccosh",
        "arcsin",
        "arcsinh",
        "arctan",
        "arctan2",
        "arctanh",
        "argmax",
        "argmin",
        "argsort",
        "array",
        "asarray",
        "ascontiguousarray",
        "bincount",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "broadcast_to",
        "ceil",
        "clip",
        "concatenate",
        "copysign",
        "cos",
        "cosh",
        "cumsum",
        "dot",
        "einsum",
        "empty",
        "empty_like",
        "equal",
        "exp",
        "expand_dims",
        "expm1",
        "eye",
        "flatnonzero",
        "floor",
        "floor_divide",
        "full",
        "full_like",
        "greater",
        "greater_equal",
        "invert",
        "isfinite",
        "isinf",
        "isnan",
        "less",
        "less_equal",
        "linspace",
        "log",
        "log1p",
        "logical_and",
        "logical_not",
        "logical_or",
        "matmul",
        "max",
        "maximum",
        "mean",
        "min",
        "minimum",
        "moveaxis",
        "multiply",
        "negative",
        "nonzero",
        "not_equal",
        "ones",
        "ones_like",
        "outer",
        "power",
        "prod",
        "ravel",
        "remainder",
        "repeat",
        "reshape",
        "rint",
        "searchsorted",
        "sign",
        "sin",
        "sinh",
        "sort",
        "split",
        "sqrt",
        "square",
        "squeeze",
        "stack",
        "subtract",
        "sum",
        "swapaxes",
        "take",
        "take_along_axis",
        "tan",
        "tanh",
        "tensordot",
        "transpose",
        "tril",
        "triu",
        "true_divide",
        "unique",
        "var",
        "where",
        "zeros",
        "zeros_like",
    ]
)
CONSTANTS = frozenset(
    [
        "bool_",
        "e",
        "float16",
        "float32",
        "float64",
        "iinfo",
        "finfo",
        "inf",
        "int8",
        "int16",
        "int32",
        "int64",
        "intp",
        "nan",
        "newaxis",
        "pi",
        "uint8",
    ]
)


class StandInArray:
    """An array of the stand-in module; like CuPy's it is never converted silently."""

    __slots__ = ("__weakref__", "_host")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: np.ndarray) -> None:
        assert isinstance(host, np.ndarray)
        self._host = host

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("implicit conversion of a device array to NumPy")

    def __repr__(self) -> str:
        return f"StandInArray({self._host!r})"

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    strides = property(lambda self: self._host.strides)
    nbytes = property(lambda self: self._host.nbytes)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: StandInArray(self._host.T))

    def item(self) -> Any:
        return self._host.item()

    def __bool__(self) -> bool:
        return bool(self._host)

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, index: Any) -> StandInArray:
        return _wrapped(self._host[_plain(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._host[_plain(index)] = _plain(value)


def _plain(value: Any) -> Any:
    """Return an argument for NumPy; a NumPy array is none of ours."""
    if isinstance(value, StandInArray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError("a NumPy array was given to a function of the device's module")
    if isinstance(value, list | tuple):
        return type(value)(_plain(part) for part in value)
    return value


def _wrapped(value: Any) -> Any:
    """Return a result; the module has no scalars, only arrays without axes."""
    if isinstance(value, np.ndarray | np.generic):
        return StandInArray(np.asarray(value))
    if isinstance(value, tuple | list):
        return type(value)(_wrapped(part) for part in value)
    return value


def _method(name: str) -> Any:
    def method(self: StandInArray, *args: Any, **kwargs: Any) -> Any:
        plain = {key: _plain(value) for key, value in kwargs.items()}
        return _wrapped(getattr(self._host, name)(*_plain(args), **plain))

    return method


def _binary(function: Any, reflected: bool) -> Any:
    def method(self: StandInArray, other: Any) -> Any:
        plain = _plain(other)
        return _wrapped(function(plain, self._host) if reflected else function(self._host, plain))

    return method


def _unary(function: Any) -> Any:
    return lambda self: _wrapped(function(self._host))


def _in_place(function: Any) -> Any:
    def method(self: StandInArray, other: Any) -> StandInArray:
        function(self._host, _plain(other))
        return self

    return method


for _name in [
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "astype",
    "copy",
    "cumsum",
    "max",
    "mean",
    "min",
    "ravel",
    "reshape",
    "squeeze",
    "sum",
    "swapaxes",
]:
    setattr(StandInArray, _name, _method(_name))
for _name in ("transpose", "flatten", "var", "fill", "view", "repeat"):
    setattr(StandInArray, _name, _method(_name))
for _name in ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"]:
    _function = getattr(operator, _name + ("_" if _name in ("and", "or") else ""))
    setattr(StandInArray, f"__{_name}__", _binary(_function, reflected=False))
    setattr(StandInArray, f"__r{_name}__", _binary(_function, reflected=True))
    setattr(StandInArray, f"__i{_name}__", _in_place(getattr(operator, f"i{_name}")))
for _name in ["eq", "ne", "lt", "le", "gt", "ge"]:
    setattr(StandInArray, f"__{_name}__", _binary(getattr(operator, _name), reflected=False))
for _name in ["neg", "pos", "invert", "abs"]:
    setattr(StandInArray, f"__{_name}__", _unary(getattr(operator, _name)))


class _Function:
    """A function of NumPy's, on arrays of the stand-in module."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _wrapped(self._function(*_plain(args), **{key: _plain(value) for key, value in kwargs.items()}))

    @property
    def reduceat(self) -> _Function:
        if self._function is not np.add:
            raise NotImplementedError("CuPy has reduceat of add only")
        return _Function(np.add.reduceat)


class StandInModule:
    """The module: CuPy's functions and constants, and nothing else of NumPy."""

    ndarray = StandInArray

    class lib:  # noqa: N801 - a submodule's name
        class stride_tricks:  # noqa: N801
            as_strided = _Function(np.lib.stride_tricks.as_strided)

    def __getattr__(self, name: str) -> Any:
        if name in CONSTANTS:
            return getattr(np, name)
        if name in FUNCTIONS:
            return _Function(getattr(np, name))
        raise AttributeError(f"CuPy might not have {name!r}; if it has, add it to the stand-in's list")


def stand_in_device(name: str = "stand_in") -> Device:
    """Return a new device on which everything is computed with the stand-in module."""
    return Device(
        name, StandInModule(), StandInArray, lambda array: array._host.copy(), lambda a: StandInArray(a.copy())
    )
