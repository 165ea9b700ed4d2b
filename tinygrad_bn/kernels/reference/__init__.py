"""The reference kernels: the readable definition of every operation, vectorised, on NumPy or CuPy."""

from __future__ import annotations

from typing import Any

from .activations import ActivationKernels
from .batch_norm import BatchNormKernels
from .convolution import ConvolutionKernels
from .elementwise import ElementwiseKernels
from .indexing import IndexingKernels
from .losses import LossKernels
from .pooling import PoolingKernels
from .reduction import ReductionKernels
from .updates import UpdateKernels


class Kernels(
    ElementwiseKernels,
    ReductionKernels,
    IndexingKernels,
    ConvolutionKernels,
    PoolingKernels,
    BatchNormKernels,
    ActivationKernels,
    LossKernels,
    UpdateKernels,
):
    """All kernels on one array module `xp`."""

    name = "reference"

    def __init__(self, xp: Any) -> None:
        self.xp = xp
