"""The stand-in for CuPy has nothing that CuPy has not, and its functions take what CuPy's take."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

import pytest
import stand_in
from stand_in.names import CONSTANTS, FUNCTIONS, METHODS, UFUNCS

cupy = pytest.importorskip("cupy")

MADE_BY_CUPY_ALONE = {"cuda.runtime.CUDARuntimeError", "cuda.memory.OutOfMemoryError", "cuda.Graph", "ndarray"}


def public(thing: Any) -> dict[str, Any]:
    """Return what a module offers, or what a class itself defines, by name."""
    holders = [thing] if isinstance(thing, types.ModuleType) else [c for c in thing.__mro__ if is_ours(c)]
    return {name: value for holder in holders for name, value in vars(holder).items() if not name.startswith("_")}


def is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("stand_in", "cupy")


def offered(thing: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield everything that a module offers, with its dotted name, and what that offers."""
    for name, value in public(thing).items():
        yield path + name, value
        if isinstance(value, types.ModuleType | type):
            yield from offered(value, f"{path}{name}.")


with stand_in.emulated_gpu() as module:
    OFFERED = dict(offered(module))


def real(path: str) -> Any:
    found: Any = cupy
    for name in path.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("path", OFFERED)
def test_cupy_has_it(path: str) -> None:
    ours, theirs = OFFERED[path], real(path)
    assert isinstance(ours, type) == isinstance(theirs, type)


def parameters(function: Any) -> list[str] | None:
    """Return the names of a function's parameters, from its signature or, of compiled ones, from its documentation."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        first_lines = (function.__doc__ or "").split("\n\n")[0]
        found = re.match(r"[\w.]+\((.*)\)", first_lines, re.DOTALL)
        if found is None:
            return None
        parts = re.sub(r"[\[(][^\])]*[\])]", "", found[1]).split(",")
        names = [part.partition("=")[0].split()[-1].lstrip("*\\") for part in parts if part.strip(" */")]
    return [name for name in names if name != "self"]


CALLED = [
    path
    for path, ours in OFFERED.items()
    if isinstance(ours, types.FunctionType | type) and path not in MADE_BY_CUPY_ALONE
]


@pytest.mark.parametrize("path", CALLED)
def test_cupy_takes_the_same_arguments(path: str) -> None:
    ours, theirs = parameters(OFFERED[path]), parameters(real(path))
    if ours is not None and theirs is not None and not {"args", "kwargs"} & {*theirs, *ours}:
        assert set(ours) <= set(theirs)
        assert ours == [name for name in theirs if name in ours]


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_cupy_has_the_constant(name: str) -> None:
    assert hasattr(cupy, name)


@pytest.mark.parametrize("name", sorted(UFUNCS))
def test_cupy_has_the_ufunc(name: str) -> None:
    assert isinstance(getattr(cupy, name), cupy.ufunc)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_functions_parameters_are_cupys(name: str) -> None:
    assert parameters(getattr(cupy, name)) == FUNCTIONS[name].split()


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_parameters_are_cupys(name: str) -> None:
    assert parameters(getattr(cupy.ndarray, name)) == METHODS[name].split()


def test_what_cupy_does_not_take_is_refused() -> None:
    with stand_in.emulated_gpu() as module:
        x = module.ones(3)
        for call in (
            lambda: module.sum(x, initial=1.0),
            lambda: x.max(where=x > 0),
            lambda: module.take(x, module.arange(2), mode="clip"),
            lambda: module.exp(x, order="C"),
        ):
            with pytest.raises(TypeError, match="does not take"):
                call()
