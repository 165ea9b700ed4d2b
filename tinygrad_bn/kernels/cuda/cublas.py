"""cuBLAS through ctypes: the products of matrices that CuPy would compute with it too, but not in a captured step.

Results repeat bit by bit: cuBLAS promises it for one architecture and number of multiprocessors, as long as each stream
has a workspace of its own (its documentation, "Results reproducibility"), and so they have here.
"""

from __future__ import annotations

import threading
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int, c_int64, c_longlong, c_size_t, c_void_p
from typing import Any, NamedTuple

import numpy as np

from ...backend import once
from ...errors import DeviceError, explain

WORKSPACE_BYTES = 32 << 20
"""What NVIDIA advises for Hopper (cublasSetWorkspace); older cards get more than they need."""

_MATRIX = (c_void_p, c_int, c_int64)  # its address, its type and its leading dimension
_PRODUCT = (c_void_p, c_int, c_int, c_int64, c_int64, c_int64, c_void_p)  # to alpha: who, how, what sizes
_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "cublasCreate_v2": (POINTER(c_void_p),),
    "cublasSetMathMode": (c_void_p, c_int),
    "cublasSetStream_v2": (c_void_p, c_void_p),
    "cublasSetWorkspace_v2": (c_void_p, c_void_p, c_size_t),
    "cublasGemmEx_64": (*_PRODUCT, *_MATRIX, *_MATRIX, c_void_p, *_MATRIX, c_int, c_int),
    "cublasGemmStridedBatchedEx_64": (
        *_PRODUCT,
        *(*_MATRIX, c_longlong),
        *(*_MATRIX, c_longlong),
        c_void_p,
        *(*_MATRIX, c_longlong),
        *(c_int64, c_int, c_int),
    ),
}

# cublas_api.h and library_types.h
_TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14}  # cudaDataType
_COMPUTE_FLOAT32, _COMPUTE_FLOAT64, _COMPUTE_TF32 = 68, 70, 77  # cublasComputeType_t
_DISALLOW_REDUCED_PRECISION_REDUCTION = 16  # cublasMath_t
_AS_IT_IS, _TRANSPOSED = 0, 1  # cublasOperation_t
_DEFAULT_ALGORITHM = -1  # cublasGemmAlgo_t


class Matrices(NamedTuple):
    """Where a batch of matrices lies in memory; distances in elements.

    Attributes:
        address: of the first element.
        transposed: whether neighbours in memory are neighbours in a column.
        line: the distance from one row (if transposed, column) to the next.
        step: the distance from one matrix to the next; 0 repeats one.
    """

    address: int
    transposed: bool
    line: int
    step: int


class Cublas:
    """A handle of cuBLAS for the GPU that is current when it is made.

    Args:
        library: what `load_cublas` returns.
        xp: CuPy.
    """

    def __init__(self, library: Any, xp: Any) -> None:
        for name, arguments in _PROTOTYPES.items():
            getattr(library, name).argtypes = arguments
        library.cublasGetStatusString.argtypes = (c_int,)
        library.cublasGetStatusString.restype = c_char_p
        self._library = library
        self._xp = xp
        self._lock = threading.Lock()  # between choosing a stream and using it
        self._stream: int | None = None
        self._workspaces: dict[int, Any] = {}
        self._factors = {size: (kind(1.0), kind(0.0)) for size, kind in ((4, c_float), (8, c_double))}
        self._handle = c_void_p()
        self._check("cublasCreate", library.cublasCreate_v2(byref(self._handle)))
        # Parts of a sum in 16 bits would lose what their products in float32 gained.
        mode = _DISALLOW_REDUCED_PRECISION_REDUCTION
        self._check("cublasSetMathMode", library.cublasSetMathMode(self._handle, mode))

    def multiply(
        self, dtype: str, tf32: bool, sizes: tuple[int, int, int], a: Matrices, b: Matrices, c: int, count: int
    ) -> None:
        """Compute C = A @ B for `count` pairs of matrices, on the current stream.

        Args:
            dtype: of all matrices; 16-bit ones are multiplied and added up in float32.
            tf32: whether float32 matrices may be rounded to TF32.
            sizes: M, N and K: A is (M, K), B is (K, N).
            a, b: the matrices.
            c: the address of the products, which are C-contiguous.
        """
        rows, columns, depth = sizes
        kind = _TYPES[dtype]
        wide = dtype == "float64"
        one, zero = self._factors[8 if wide else 4]
        compute = _COMPUTE_FLOAT64 if wide else _COMPUTE_TF32 if tf32 and dtype == "float32" else _COMPUTE_FLOAT32
        # cuBLAS counts along columns first: what it takes for B^T and A^T are our B and A, and C^T = B^T @ A^T our C.
        operations = (_TRANSPOSED if b.transposed else _AS_IT_IS, _TRANSPOSED if a.transposed else _AS_IT_IS)
        front = (self._handle, *operations, columns, rows, depth, byref(one))
        with self._lock:
            self._use_current_stream()
            if count == 1:
                status = self._library.cublasGemmEx_64(
                    *front,
                    *(b.address, kind, b.line),
                    *(a.address, kind, a.line),
                    byref(zero),
                    *(c, kind, columns),
                    compute,
                    _DEFAULT_ALGORITHM,
                )
            else:
                status = self._library.cublasGemmStridedBatchedEx_64(
                    *front,
                    *(b.address, kind, b.line, b.step),
                    *(a.address, kind, a.line, a.step),
                    byref(zero),
                    *(c, kind, columns, rows * columns),
                    count,
                    compute,
                    _DEFAULT_ALGORITHM,
                )
        self._check(f"matmul of {dtype} matrices with M, N, K = {sizes}", status)

    def _use_current_stream(self) -> None:
        stream = self._xp.cuda.get_current_stream().ptr
        if stream == self._stream:
            return
        workspace = self._workspaces.get(stream)
        if workspace is None:
            with once():  # it outlives a recording that is under way
                workspace = self._workspaces[stream] = self._xp.empty(WORKSPACE_BYTES, np.uint8)
        library = self._library
        self._check("cublasSetStream", library.cublasSetStream_v2(self._handle, stream))
        # Choosing a stream takes the workspace away, so this comes second.
        pointer = workspace.data.ptr
        self._check("cublasSetWorkspace", library.cublasSetWorkspace_v2(self._handle, pointer, WORKSPACE_BYTES))
        self._stream = stream

    def _check(self, where: str, status: int) -> None:
        if status:
            meaning = self._library.cublasGetStatusString(status).decode()
            raise DeviceError(explain(where, "cuBLAS to do it", f"status {status}, {meaning}"))
