"""The dtypes of numbers: NumPy's, and bfloat16, which comes from the optional package ml_dtypes.

bfloat16 has float32's range and 8 significant bits. NumPy takes it for a user's dtype, of kind "V" and not "f", so
nothing here asks for the kind of a dtype that may be one of floating-point numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DTypeError, explain, missing_dependency

DType = np.dtype[Any]

FLOATING = frozenset("efdE")
"""The letters (`dtype.char`) of float16, float32, float64 and bfloat16: the quickest test, for the hottest places."""

HALF = frozenset("eE")
"""Those of float16 and bfloat16."""

BFLOAT16 = frozenset("E")
"""That of bfloat16."""


def is_floating(dtype: DType) -> bool:
    """Return whether it is float16, bfloat16, float32 or float64."""
    return dtype.char in FLOATING


def is_half(dtype: DType) -> bool:
    """Return whether it is float16 or bfloat16, in which numbers are stored but not computed with."""
    return dtype.char in HALF


def is_bfloat16(dtype: DType) -> bool:
    """Return whether it is bfloat16."""
    return dtype.char in BFLOAT16


def is_number(dtype: DType) -> bool:
    """Return whether a tensor may have it: floating-point numbers, integers of at most 64 bits, or bool."""
    return dtype.char in FLOATING or (dtype.kind in "biu" and dtype.itemsize <= 8)


def bfloat16(where: str) -> DType:
    """Return the dtype bfloat16.

    Args:
        where: who asks, for the message.

    Raises:
        MissingDependencyError: the package ml_dtypes is not installed.
    """
    try:
        import ml_dtypes
    except ImportError as error:
        raise missing_dependency(where, "ml_dtypes", "bfloat16") from error
    dtype: DType = np.dtype(ml_dtypes.bfloat16)
    return dtype


def promoted(*dtypes: DType) -> DType:
    """Return the dtype in which numbers of several floating-point dtypes meet (PyTorch's rule, and NumPy's).

    >>> promoted(np.dtype("float16"), np.dtype("float32"))
    dtype('float32')
    """
    if len({dtype.char for dtype in dtypes} & HALF) > 1:  # neither holds the other's numbers, and NumPy gives up
        dtypes = (np.dtype("float32"), *(dtype for dtype in dtypes if not is_half(dtype)))
    result: DType = np.result_type(*dtypes)
    return result


def names_dtype(value: Any) -> bool:
    """Return whether a value names a dtype that a tensor may have, and so no device.

    >>> names_dtype("float16"), names_dtype("cuda")
    (True, False)
    """
    if not isinstance(value, str | type | np.dtype):  # NumPy would take the dtype of anything that has one
        return False
    try:
        as_dtype("names_dtype", value)
    except DTypeError:
        return False
    return True


def as_dtype(where: str, dtype: Any) -> DType:
    """Return a supported dtype: float16, bfloat16, float32, float64, integers and bool.

    Raises:
        DTypeError: it is none of these.
        MissingDependencyError: it is bfloat16, and the package ml_dtypes is not installed.
    """
    if isinstance(dtype, str) and dtype == "bfloat16":
        return bfloat16(where)
    try:
        result = np.dtype(dtype)
    except TypeError:
        result = np.dtype(object)
    if not is_number(result):
        raise DTypeError(explain(where, "float16, bfloat16, float32, float64, an integer dtype or bool", repr(dtype)))
    native: DType = result.newbyteorder("=")
    return native
