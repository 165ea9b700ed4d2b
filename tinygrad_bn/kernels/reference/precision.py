"""float16 is a format to store numbers in; sums, products of matrices and functions are computed in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

_HALF, _NONE = np.dtype("float16"), np.dtype("V")
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


def in_float32(kernel: _Kernel) -> _Kernel:
    """Make a kernel whose floating-point arrays are all float16 compute in float32 and return float16.

    NumPy itself would add up in half precision, and has no BLAS for it.
    """

    @wraps(kernel)
    def widened(self: Any, *inputs: Any) -> Any:
        dtypes = [getattr(value, "dtype", _NONE) for value in inputs]
        if _HALF not in dtypes or any(dtype.kind == "f" and dtype != _HALF for dtype in dtypes):
            return kernel(self, *inputs)
        wide = (value.astype("float32") if d == _HALF else value for value, d in zip(inputs, dtypes, strict=True))
        result = kernel(self, *wide)
        return tuple(map(_narrow, result)) if isinstance(result, tuple) else _narrow(result)

    return widened  # type: ignore[return-value]


def _narrow(array: Any) -> Any:
    return array.astype("float16") if array.dtype == "float32" else array
