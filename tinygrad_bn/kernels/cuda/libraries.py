"""NVIDIA's libraries beside CuPy: cuBLAS, and cuDNN with its frontend. Where they are, or why they cannot be used.

Where a library is, CuPy's own dependency cuda-pathfinder knows: in Python packages, a conda environment, or the system.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Any

from ...errors import DeviceError, explain

_REMEDY = "install the extra for your CUDA version: pip install 'tinygrad_bn[cuda12]' or 'tinygrad_bn[cuda13]'"


def load_cublas() -> Any:
    """Return cuBLAS, the one that CuPy uses, as a library of ctypes.

    Raises:
        DeviceError: it cannot be loaded; the message says why and what helps.
    """
    path = _loaded("products of matrices on a GPU", "cublas")
    return ctypes.CDLL(path)


def load_cudnn() -> Any:
    """Return the frontend of cuDNN, the module `cudnn`.

    Raises:
        DeviceError: it or a library that it needs cannot be loaded; the message says why and what helps.
    """
    where = "convolutions on a GPU"
    # The frontend asks the system for this library by its name, which finds it only where it is loaded already.
    _loaded(where, "cudart")
    # It looks for cuDNN only beside the packages of the interpreter itself, and asks the system by its name, too.
    with contextlib.suppress(DeviceError):
        _loaded(where, "cudnn")
    try:
        import cudnn

        cudnn.backend_version()  # the frontend can be imported without cuDNN, and fails here then
    except (ImportError, OSError, RuntimeError) as error:
        got = f"{type(error).__name__}: {error}"
        raise DeviceError(explain(where, "cuDNN and the package 'nvidia-cudnn-frontend'", got, _REMEDY)) from error
    return cudnn


def _loaded(where: str, name: str) -> str:
    """Load one of CUDA's libraries into the process and return its path."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        path: str = load_nvidia_dynamic_lib(name).abs_path
    except (ImportError, OSError, RuntimeError) as error:
        got = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise DeviceError(explain(where, f"the library {name} of CUDA", got, _REMEDY)) from error
    return path
