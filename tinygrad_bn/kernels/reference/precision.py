"""float16 and bfloat16 are formats to store numbers in; what needs more precision is computed in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from ...dtypes import BFLOAT16, HALF, is_floating, is_half

_NONE = np.dtype("V")
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


def in_float32(kernel: _Kernel) -> _Kernel:
    """Make a kernel compute in float32 where its floating-point arrays have 16 bits, and round its results to these.

    An array module itself would add up in half precision, and NumPy has no BLAS for it. Where 16 bits meet more, or
    the other kind of 16 bits, the result is not rounded.
    """
    return _widening(kernel, HALF)


def bfloat16_in_float32(kernel: _Kernel) -> _Kernel:
    """`in_float32` for bfloat16 alone, where array modules compute well in float16.

    What they do with bfloat16 and a Python scalar differs: NumPy returns float32.
    """
    return _widening(kernel, BFLOAT16)


def _widening(kernel: _Kernel, narrow: frozenset[str]) -> _Kernel:
    name = kernel.__name__

    @wraps(kernel)
    def widened(self: Any, *inputs: Any) -> Any:
        for value in inputs:
            if getattr(value, "dtype", _NONE).char in narrow:
                break
        else:
            return kernel(self, *inputs)
        # By its name, because another provider may be faster in float32.
        result = getattr(self, name)(*map(_wide, inputs))
        dtypes = {value.dtype for value in inputs if hasattr(value, "dtype") and is_floating(value.dtype)}
        if len(dtypes) > 1:
            return result
        (dtype,) = dtypes
        return tuple(_rounded(r, dtype) for r in result) if isinstance(result, tuple) else _rounded(result, dtype)

    return widened  # type: ignore[return-value]


def _wide(value: Any) -> Any:
    return value.astype("float32") if hasattr(value, "dtype") and is_half(value.dtype) else value


def _rounded(array: Any, dtype: Any) -> Any:
    return array.astype(dtype) if array.dtype == "float32" else array
