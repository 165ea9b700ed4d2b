"""Kernels for an NVIDIA GPU: our own CUDA C++, cuDNN and cuBLAS; the reference on CuPy for everything else.

An override takes the dtypes and shapes that it covers and hands the rest on with `super()`.
"""

from __future__ import annotations

from .activations import ActivationOverrides
from .convolution import ConvolutionOverrides
from .elementwise import ElementwiseOverrides
from .indexing import IndexingOverrides
from .losses import LossOverrides
from .norm_act import NormActOverrides
from .pooling import PoolingOverrides
from .sums import SumOverrides
from .updates import UpdateOverrides


class CudaKernels(
    ConvolutionOverrides,
    NormActOverrides,
    ActivationOverrides,
    LossOverrides,
    PoolingOverrides,
    UpdateOverrides,
    SumOverrides,
    ElementwiseOverrides,
    IndexingOverrides,
):
    """All kernels on one GPU, the hot ones our own."""
