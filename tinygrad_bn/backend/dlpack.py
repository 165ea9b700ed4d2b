"""DLPack with bfloat16, which NumPy's and CuPy's own exchange does not know.

Arrays of that dtype travel as 16-bit integers of the same memory, and in the capsule it says bfloat16: a tensor's
description there belongs to whoever holds the capsule, until it is taken. Nothing is copied.
"""

from __future__ import annotations

import ctypes
from typing import Any

_UNSIGNED, _BFLOAT = 1, 4  # of DLPack's type codes

_get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class _DLTensor(ctypes.Structure):
    """The beginning of a tensor's description (dlpack.h)."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
    )


class _Versioned(ctypes.Structure):
    """A capsule's content since version 1; before, it begins with the tensor."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _DLTensor),
    )


def exported(array: Any, is_bfloat16: bool, **request: Any) -> Any:
    """Return a DLPack capsule of an array's memory.

    Args:
        array: an array with `__dlpack__`, whose dtype that method need not know where it is bfloat16.
        is_bfloat16: whether that is its dtype.
        request: what the consumer asks for: `stream`, `max_version`, `dl_device`, `copy`.
    """
    if not is_bfloat16:
        return array.__dlpack__(**request)
    capsule = array.view("uint16").__dlpack__(**request)
    _tensor_in(capsule).code = _BFLOAT
    return capsule


class Exporter:
    """Any object that speaks DLPack; what it has of bfloat16 comes as 16-bit integers.

    Attributes:
        is_bfloat16: whether it was, known once the capsule has been asked for.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self.is_bfloat16 = False

    def __dlpack__(self, **request: Any) -> Any:
        capsule = self._source.__dlpack__(**request)
        tensor = _tensor_in(capsule)
        if tensor.code == _BFLOAT and tensor.bits == 16 and tensor.lanes == 1:
            tensor.code = _UNSIGNED
            self.is_bfloat16 = True
        return capsule

    def __dlpack_device__(self) -> Any:
        return self._source.__dlpack_device__()


def _tensor_in(capsule: Any) -> _DLTensor:
    name = _get_name(capsule)
    address = _get_pointer(capsule, name)
    return _Versioned.from_address(address).tensor if name == b"dltensor_versioned" else _DLTensor.from_address(address)
