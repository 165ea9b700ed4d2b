"""A library that stands in for cuBLAS: functions with C's calling convention that NumPy computes.

They take what cuBLAS's header says, not what our code believes, so an argument of the wrong type arrives as garbage.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_double, c_float, c_int, c_int64, c_longlong, c_size_t, c_void_p
from typing import Any

import numpy as np

from .memory_views import array_at, do_or_record, rounded_to_tf32

# cublas_api.h and library_types.h
TYPES = {0: "float32", 1: "float64", 2: "float16", 14: "bfloat16"}
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77
COMPUTES = {"float64": (COMPUTE_64F,), "float32": (COMPUTE_32F, COMPUTE_32F_FAST_TF32)}
NOT_INITIALIZED, INVALID_VALUE, NOT_SUPPORTED = 1, 7, 15
INTERNAL_ERROR = 14
MEANINGS = {NOT_INITIALIZED: b"the library was not initialized", INVALID_VALUE: b"an invalid value"}

_FRONT = (c_void_p, c_int, c_int, c_int64, c_int64, c_int64, c_void_p)
_MATRIX = (c_void_p, c_int, c_int64)
_STRIDED = (*_MATRIX, c_longlong)


class StandInCublas:
    """The functions of the library.

    Attributes:
        log: what was computed: (function, type, compute type, m, n, k, count).
        works: False lets handles be refused, as without a GPU.
    """

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.works = True
        self.math_mode = 0
        self._stream = 0
        self._workspace = 0
        self.cublasCreate_v2 = _function(self._create, ctypes.POINTER(c_void_p))
        self.cublasSetMathMode = _function(self._set_math_mode, c_void_p, c_int)
        self.cublasSetStream_v2 = _function(self._set_stream, c_void_p, c_void_p)
        self.cublasSetWorkspace_v2 = _function(self._set_workspace, c_void_p, c_void_p, c_size_t)
        self.cublasGemmEx_64 = _function(self._gemm, *_FRONT, *_MATRIX, *_MATRIX, c_void_p, *_MATRIX, c_int, c_int)
        self.cublasGemmStridedBatchedEx_64 = _function(
            self._gemm_strided, *_FRONT, *_STRIDED, *_STRIDED, c_void_p, *_STRIDED, c_int64, c_int, c_int
        )
        self.cublasGetStatusString = CFUNCTYPE(c_void_p, c_int)(self._meaning)

    def _create(self, handle: Any) -> int:
        handle[0] = 4711
        return 0 if self.works else NOT_INITIALIZED

    def _meaning(self, status: int) -> int:
        self._text = ctypes.create_string_buffer(MEANINGS.get(status, b"not supported"))
        return ctypes.addressof(self._text)

    def _set_math_mode(self, handle: int, mode: int) -> int:
        self.math_mode = mode
        return 0

    def _set_stream(self, handle: int, stream: int | None) -> int:
        self._stream, self._workspace = stream or 0, 0
        return 0

    def _set_workspace(self, handle: int, address: int, size: int) -> int:
        if address % 256:
            return INVALID_VALUE
        array_at(address, "uint8", (size,), (1,)).fill(0)
        self._workspace = address
        return 0

    def _gemm(self, handle: int, ta: int, tb: int, m: int, n: int, k: int, alpha: int, *rest: Any) -> int:
        a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute, algorithm = rest
        matrices = (a, a_type, lda, 0, b, b_type, ldb, 0, beta, c, c_type, ldc, 0)
        return self._multiply("GemmEx", handle, ta, tb, m, n, k, alpha, *matrices, 1, compute, algorithm)

    def _gemm_strided(self, *arguments: Any) -> int:
        return self._multiply("GemmStridedBatchedEx", *arguments)

    def _multiply(
        self,
        name: str,
        handle: int,
        ta: int,
        tb: int,
        m: int,
        n: int,
        k: int,
        alpha: int,
        *rest: Any,
    ) -> int:
        a, a_type, lda, a_step, b, b_type, ldb, b_step, beta, c, c_type, ldc, c_step, count, compute, algorithm = rest
        assert handle == 4711
        assert self._workspace, "no workspace: the library would take one of its own, from a pool that streams share"
        stored_a, stored_b = ((k, m) if ta else (m, k)), ((n, k) if tb else (k, n))
        if lda < stored_a[0] or ldb < stored_b[0] or ldc < m or min(m, n, k, count) < 1 or algorithm != -1:
            return INVALID_VALUE
        kind = TYPES[a_type]
        if not a_type == b_type == c_type or compute not in COMPUTES.get(kind, (COMPUTE_32F,)):
            return NOT_SUPPORTED
        scale = c_double if compute == COMPUTE_64F else c_float
        assert (scale.from_address(alpha).value, scale.from_address(beta).value) == (1.0, 0.0)
        first = array_at(a, kind, (count, *stored_a), (a_step, 1, lda))
        second = array_at(b, kind, (count, *stored_b), (b_step, 1, ldb))
        result = array_at(c, kind, (count, m, n), (c_step, 1, ldc))

        def work() -> None:
            factors = [x.astype("float64" if kind == "float64" else "float32") for x in (first, second)]
            if compute == COMPUTE_32F_FAST_TF32:
                factors = [rounded_to_tf32(x) for x in factors]
            left, right = (x.swapaxes(1, 2) if t else x for x, t in zip(factors, (ta, tb), strict=True))
            with np.errstate(all="ignore"):
                result[...] = np.matmul(left, right).astype(kind)

        self.log.append((name, kind, compute, m, n, k, count))
        do_or_record(self._stream, work)
        return 0


def _function(python: Callable[..., int], *arguments: Any) -> Any:
    def guarded(*values: Any) -> int:
        try:
            return python(*values)
        except AssertionError as error:  # which C would swallow
            MEANINGS[INTERNAL_ERROR] = str(error).encode()
            return INTERNAL_ERROR

    return CFUNCTYPE(c_int, *arguments)(guarded)
