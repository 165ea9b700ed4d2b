"""A training that can be taken up again, in one file: nested dicts and lists with arrays among their values.

The arrays are tensors of a safetensors file, and everything else is JSON in one more tensor of bytes. A digest over
all of it tells a damaged file from a whole one. Nothing in such a file can run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, explain
from ..interop import load_file, save_file
from ..tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

_TEXT, _DIGEST, _PLACE = "json", "digest", "\N{RIGHTWARDS ARROW}"


def write_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write dicts (with strings as keys), lists, JSON values, tensors and arrays; the file is whole or not there.

    Raises:
        MissingDependencyError: the package safetensors is not installed.
    """
    arrays: dict[str, Array] = {}
    text = json.dumps(_without_arrays(content, arrays))
    arrays[_TEXT] = np.frombuffer(text.encode("utf-8"), np.uint8)
    arrays[_DIGEST] = np.frombuffer(_digest(arrays), np.uint8)
    save_file(arrays, path)


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` has written: tuples come back as lists, tensors as arrays.

    Raises:
        MissingDependencyError: the package safetensors is not installed.
        DataError: there is no such file, or not one byte for byte as it was written.
    """
    arrays = {name: tensor.numpy() for name, tensor in load_file(path).items()}
    digest = arrays.pop(_DIGEST, np.zeros(0, np.uint8))
    if _TEXT not in arrays or digest.tobytes() != _digest(arrays):
        raise DataError(explain("read_state", f"an undamaged state of a training in {path}", "another content"))
    content = _with_arrays(json.loads(arrays[_TEXT].tobytes()), arrays)
    if not isinstance(content, dict):
        raise DataError(explain("read_state", f"a mapping in {path}", type(content).__name__))
    return content


def _without_arrays(value: Any, arrays: dict[str, Array]) -> Any:
    """Return the value with each array replaced by the name under which it was put into `arrays`."""
    if isinstance(value, Mapping):
        return {name: _without_arrays(part, arrays) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(part, arrays) for part in value]
    if isinstance(value, Tensor):
        value = value.numpy()
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "U":  # which safetensors does not have
        return {_PLACE: None, "strings": value.tolist()}
    name = str(len(arrays))
    arrays[name] = np.asarray(value, order="C")
    return {_PLACE: name}


def _with_arrays(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, list):
        return [_with_arrays(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if _PLACE not in value:
        return {name: _with_arrays(part, arrays) for name, part in value.items()}
    return np.array(value["strings"], dtype=np.str_) if value[_PLACE] is None else arrays[value[_PLACE]]


def _digest(arrays: Mapping[str, Array]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
