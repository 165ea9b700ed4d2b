"""Kernels for an NVIDIA GPU: our own CUDA C++, cuDNN and cuBLAS; the reference on CuPy for everything else.

An override takes the dtypes and shapes that it covers and hands the rest on with `super()`.
"""

from __future__ import annotations

from ...backend import Device
from ..reference import Kernels
from .compiler import Program


class CudaKernels(Kernels):
    """All kernels on one GPU."""

    name = "cuda"

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.program = Program(device.xp)
