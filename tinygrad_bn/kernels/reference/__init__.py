"""The reference kernels: the readable definition of every operation, vectorised, on NumPy or CuPy."""

from __future__ import annotations

from ...backend import Device
from .activations import ActivationKernels
from .batch_norm import BatchNormKernels
from .convolution import ConvolutionKernels
from .elementwise import ElementwiseKernels
from .indexing import IndexingKernels
from .losses import LossKernels
from .norm_act import NormActKernels
from .pooling import PoolingKernels
from .reduction import ReductionKernels
from .survey import SurveyKernels
from .updates import UpdateKernels


class Kernels(
    ElementwiseKernels,
    ReductionKernels,
    IndexingKernels,
    ConvolutionKernels,
    PoolingKernels,
    NormActKernels,
    BatchNormKernels,
    UpdateKernels,
    ActivationKernels,
    LossKernels,
    SurveyKernels,
):
    """All kernels on one device, through its array module `xp`."""

    name: str = "reference"

    def __init__(self, device: Device) -> None:
        self.device = device
        self.xp = device.xp
