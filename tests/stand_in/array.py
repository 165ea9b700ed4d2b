"""An array module that stands in for a GPU's: what passes here goes through `xp` alone.

Its arrays hold NumPy arrays and refuse to become one, as CuPy's do; its functions take no NumPy arrays, only its own;
and it has only functions that CuPy has too. A kernel that reaches for NumPy, or that mixes host and device, fails.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_bn.backend import Device

from .names import CONSTANTS, FUNCTIONS, METHODS, UFUNC_PARAMETERS, UFUNCS


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
        return f"{type(self).__name__}({self._host!r})"

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    nbytes = property(lambda self: self._host.nbytes)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: self.transpose())

    @classmethod
    def _compute(cls, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of NumPy's with arrays of this class."""
        return wrapped(cls, function(*plain(cls, args), **plain(cls, kwargs)))

    @classmethod
    def _change(cls, function: Callable[..., Any], array: StandInArray, args: tuple[Any, ...]) -> None:
        """Call a function of NumPy's that changes its first argument."""
        function(array._host, *plain(cls, args))

    def item(self) -> Any:
        return self._host.item()

    def __bool__(self) -> bool:
        return bool(self._host)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        return self._compute(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        self._change(operator.setitem, self, (index, value))


def plain(cls: type[StandInArray], value: Any) -> Any:
    """Return an argument for NumPy; a NumPy array is none of ours."""
    if type(value) is cls:
        return value._host
    if isinstance(value, np.ndarray | StandInArray):
        raise TypeError(f"an array of {type(value)} was given to a function of the device's module")
    if isinstance(value, dict):
        return {key: plain(cls, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(cls, part) for part in value)
    return value


def wrapped(cls: type[StandInArray], value: Any) -> Any:
    """Return a result; the module has no scalars, only arrays without axes."""
    if isinstance(value, np.ndarray | np.generic):
        return cls(np.asarray(value))
    if isinstance(value, tuple | list):
        return type(value)(wrapped(cls, part) for part in value)
    return value


def _check_keywords(name: str, known: str, given: Iterable[str]) -> None:
    unknown = set(given) - set(known.split()) - ({"optimize"} if name == "einsum" else set())
    if unknown:
        raise TypeError(f"CuPy's {name} does not take {', '.join(sorted(unknown))}; it takes {known}")


def _method(name: str, parameters: str) -> Any:
    def method(self: StandInArray, *args: Any, **kwargs: Any) -> Any:
        _check_keywords(name, parameters, kwargs)
        return self._compute(getattr(np.ndarray, name), (self, *args), kwargs)

    method.__name__ = name
    return method


def _binary(function: Any, reflected: bool) -> Any:
    def method(self: StandInArray, other: Any) -> Any:
        return self._compute(function, (other, self) if reflected else (self, other), {})

    return method


def _unary(function: Any) -> Any:
    return lambda self: self._compute(function, (self,), {})


def _in_place(function: Any) -> Any:
    def method(self: StandInArray, other: Any) -> StandInArray:
        self._change(function, self, (other,))
        return self

    return method


for _name, _parameters in METHODS.items():
    setattr(StandInArray, _name, _method(_name, _parameters))
StandInArray.fill = lambda self, value: self._change(np.ndarray.fill, self, (value,))  # type: ignore[attr-defined]
for _name in ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"]:
    _function = getattr(operator, _name + ("_" if _name in ("and", "or") else ""))
    setattr(StandInArray, f"__{_name}__", _binary(_function, reflected=False))
    setattr(StandInArray, f"__r{_name}__", _binary(_function, reflected=True))
    setattr(StandInArray, f"__i{_name}__", _in_place(getattr(operator, f"i{_name}")))
for _name in ["eq", "ne", "lt", "le", "gt", "ge"]:
    setattr(StandInArray, f"__{_name}__", _binary(getattr(operator, _name), reflected=False))
for _name in ["neg", "pos", "invert", "abs"]:
    setattr(StandInArray, f"__{_name}__", _unary(getattr(operator, _name)))


class Function:
    """A function of NumPy's, on arrays of the stand-in module.

    Args:
        parameters: the names of what it takes in CuPy; None where nobody asks.
    """

    def __init__(self, cls: type[StandInArray], function: Any, parameters: str | None = None) -> None:
        self._cls = cls
        self._function = function
        self._parameters = parameters

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._parameters is not None:
            _check_keywords(self._function.__name__, self._parameters, kwargs)
        return self._cls._compute(self._function, args, kwargs)

    @property
    def reduceat(self) -> Function:
        if self._function is not np.add:
            raise NotImplementedError("CuPy has reduceat of add only")
        return Function(self._cls, np.add.reduceat)


def function_named(cls: type[StandInArray], name: str) -> Any:
    """Return a function or constant of the module whose arrays are of a class."""
    if name in CONSTANTS:
        return getattr(np, name)
    if name in UFUNCS:
        return Function(cls, getattr(np, name), UFUNC_PARAMETERS)
    if name in FUNCTIONS:
        return Function(cls, getattr(np, name), FUNCTIONS[name])
    raise AttributeError(f"CuPy might not have {name!r}; if it has, add it to the stand-in's list")


class StandInModule:
    """The module: CuPy's functions and constants, and nothing else of NumPy."""

    ndarray = StandInArray

    class lib:  # noqa: N801 - a submodule's name
        class stride_tricks:  # noqa: N801
            as_strided = Function(StandInArray, np.lib.stride_tricks.as_strided)

    def __getattr__(self, name: str) -> Any:
        return function_named(self.ndarray, name)


def stand_in_device(name: str = "stand_in") -> Device:
    """Return a new device on which everything is computed with the stand-in module."""
    return Device(
        name, StandInModule(), StandInArray, lambda array: array._host.copy(), lambda a: StandInArray(a.copy())
    )
