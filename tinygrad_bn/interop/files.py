"""Weights in safetensors files, which hold numbers and names and cannot run code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backend.capturing import refuse_inside, refuse_reading
from ..creation import from_array
from ..dtypes import as_dtype
from ..errors import DataError, DTypeError, explain, missing_dependency
from ..files import atomic_writer
from ..nn import Module
from ..nn.state import LoadResult
from ..tensor import Tensor

StrPath = str | os.PathLike[str]

DTYPES = {
    "BF16": "bfloat16",
    "BOOL": "bool",
    **{
        f"{letter}{bits}": f"{kind}{bits}" for letter, kind in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)
    },
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
}
"""The format's names of the dtypes that tensors have."""


def save_file(tensors: Mapping[str, Any], path: StrPath) -> None:
    """Write tensors or arrays by name into a safetensors file; it appears under its name only when it is whole.

    Raises:
        MissingDependencyError: the package safetensors is not installed.
        DTypeError: it is no mapping, a name is no string, or a value is no array of numbers.
        OSError: the folder does not exist or cannot be written.
    """
    refuse_reading("one that is written into a file", "save after the call")
    library = _safetensors("save_file")
    if not isinstance(tensors, Mapping):
        raise DTypeError(explain("save_file", "a mapping from names to tensors", type(tensors).__name__))
    arrays = {_checked_name(name): _host_array(name, value) for name, value in tensors.items()}
    with atomic_writer(path) as file:
        file.write(library.numpy.save(arrays))


def load_file(path: StrPath) -> dict[str, Tensor]:
    """Read a safetensors file: its tensors by name, on the CPU.

    Raises:
        MissingDependencyError: the package safetensors is not installed, or, where the file has bfloat16, ml_dtypes.
        DataError: there is no such file, or it is not a whole safetensors file of dtypes that tensors have.
    """
    refuse_inside("data as tensors among the arguments", "a file, which is read once", "load before the call")
    library = _safetensors("load_file")
    try:
        arrays = {
            name: np.frombuffer(entry["data"], as_dtype("load_file", DTYPES[entry["dtype"]])).reshape(entry["shape"])
            for name, entry in library.deserialize(Path(path).read_bytes())
        }
    except OSError as error:
        raise DataError(explain("load_file", f"a safetensors file at {path}", str(error))) from error
    except (library.SafetensorError, KeyError, TypeError, ValueError) as error:
        got = f"{type(error).__name__}: {error}"
        raise DataError(explain("load_file", f"{path} to be a whole safetensors file", got)) from error
    return {name: from_array(array) for name, array in arrays.items()}


def save_model(model: Module, path: StrPath) -> None:
    """Write a module's parameters and buffers into a safetensors file; see `save_file`."""
    save_file(model.state_dict(), path)


def load_model(model: Module, path: StrPath, strict: bool = True) -> LoadResult:
    """Read a module's parameters and buffers from a safetensors file; see `load_file` and `Module.load_state_dict`."""
    return model.load_state_dict(load_file(path), strict)


def _safetensors(where: str) -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise missing_dependency(where, "safetensors", "interop") from error
    return safetensors


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise DTypeError(explain("save_file", "names that are strings", repr(name)))
    return name


def _host_array(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value.device.to_host(value.data) if isinstance(value, Tensor) else value)
    native = as_dtype(f"save_file, {name}", array.dtype)
    # safetensors writes the memory as it lies, so an array in any other order would be scrambled silently.
    # (`ascontiguousarray` would do, but makes one dimension out of none.)
    return np.asarray(array, dtype=native, order="C")
