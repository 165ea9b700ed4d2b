"""Kernels for an NVIDIA GPU: our own CUDA C++, cuDNN and cuBLAS; the reference on CuPy for everything else.

An override takes the dtypes and shapes that it covers and hands the rest on with `super()`.
"""

from __future__ import annotations

from .updates import UpdateOverrides


class CudaKernels(
    UpdateOverrides,
):
    """All kernels on one GPU, the hot ones our own."""
