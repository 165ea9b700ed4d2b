"""A GPU that records: a real one where tests are run on one, otherwise emulated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import on_device
import pytest
import stand_in
from capturable import CapturableKernels

from tinygrad_bn.backend import get_device


@pytest.fixture
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The device "cuda", emulated with kernels that need not be compiled; the value is CuPy or its stand-in."""
    if on_device.is_real(request.config):
        return get_device("cuda").xp
    cupy = request.getfixturevalue("emulated_gpu")
    device = get_device("cuda")
    monkeypatch.setattr(device, "kernels", CapturableKernels(device))
    return cupy


@pytest.fixture(scope="module")
def gpu_with_its_kernels(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The device "cuda" with the kernels that GPUs have; the value as of `gpu`."""
    if on_device.is_real(request.config) or on_device.is_emulated(request.config):
        yield get_device("cuda").xp
        return
    with stand_in.emulated_gpu() as cupy:
        yield cupy
