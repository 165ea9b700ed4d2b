"""Lets the package find the stand-ins for cuBLAS and cuDNN where it looks for the libraries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinygrad_bn.kernels.cuda import libraries

from . import cudnn
from .cublas import StandInCublas


@contextmanager
def stand_in_libraries() -> Iterator[None]:
    """Replace the libraries of NVIDIA; emulated GPUs begin without any handle of them."""
    real = libraries.load_cublas, libraries.load_cudnn
    cudnn.state.reset()
    blas = StandInCublas()
    libraries.load_cublas, libraries.load_cudnn = (lambda: blas), (lambda: cudnn)
    try:
        yield
    finally:
        libraries.load_cublas, libraries.load_cudnn = real
