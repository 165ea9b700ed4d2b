"""The reference kernels: the readable definition of every operation, vectorised, on NumPy or CuPy."""

from __future__ import annotations

from typing import Any

from .activations import ActivationKernels
from .batch_norm import BatchNormKernels
from .convolution import ConvolutionKernels
from .elementwise import ElementwiseKernels
from .indexing import IndexingKernels
from .losses import LossKernels
from .norm_act import NormActKernels
from .pooling import PoolingKernels
from .reduction import ReductionKernels
from .updates import UpdateKernels


class Kernels(
    ElementwiseKernels,
    ReductionKernels,
    IndexingKernels,
    ConvolutionKernels,
    PoolingKernels,
    NormActKernels,
    BatchNormKernels,
    ActivationKernels,
    LossKernels,
    UpdateKernels,
):
    """All kernels on one array module `xp`."""

    name = "reference"

    def __init__(self, xp: Any) -> None:
        self.xp = xp
