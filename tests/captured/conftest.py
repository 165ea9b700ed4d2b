"""A GPU that records: emulated, with kernels that need not be compiled."""

from __future__ import annotations

from types import ModuleType

import pytest
from capturable import CapturableKernels

from tinygrad_bn.backend import get_device


@pytest.fixture
def gpu(emulated_gpu: ModuleType) -> ModuleType:
    """An emulated GPU, "cuda"; the module that stands in for CuPy."""
    device = get_device("cuda")
    device.kernels = CapturableKernels(device)
    return emulated_gpu
