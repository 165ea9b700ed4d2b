"""Kernels compiled with Numba for the CPU: overrides of what is hot, the reference for everything else.

An override takes float32 and float64 arrays. Other dtypes, and shapes that it does not cover, go to the reference,
through `super()`. Outputs and workspaces come from the device's buffer pool.
"""

from __future__ import annotations

from .activations import ActivationOverrides
from .batch_norm import BatchNormOverrides
from .convolution import ConvolutionOverrides
from .elementwise import ElementwiseOverrides
from .losses import LossOverrides
from .matmul import MatmulOverrides
from .pooling import PoolingOverrides
from .reduction import ReductionOverrides
from .survey import SurveyOverrides
from .updates import UpdateOverrides


class CpuKernels(
    ConvolutionOverrides,
    BatchNormOverrides,
    ActivationOverrides,
    PoolingOverrides,
    LossOverrides,
    UpdateOverrides,
    SurveyOverrides,
    MatmulOverrides,
    ReductionOverrides,
    ElementwiseOverrides,
):
    """All kernels on the CPU, the hot ones compiled."""

    name = "cpu"
