"""Sums to one value per channel, on an emulated GPU, against NumPy in float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes  # noqa: F401 - makes the name bfloat16 known to NumPy
import numpy as np
import pytest

from tinygrad_bn.backend import get_device
from tinygrad_bn.kernels.cuda.sums import SumOverrides

TOLERANCE = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-6, "float64": 1e-14}
SIZES = [(1, 1), (1, 8), (5, 3), (128, 10), (700, 33), (3000, 8), (20_000, 4), (2, 3, 4, 5), (6, 64, 7, 9)]


@pytest.fixture
def kernels(emulated_gpu: Any) -> SumOverrides:
    return SumOverrides(get_device("cuda"))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES, ids=repr)
def test_sums_per_channel(kernels: SumOverrides, dtype: str, size: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).uniform(-1, 1.2, size).astype(dtype)
    axes = (0, 2, 3) if len(size) == 4 else (0,)
    moved = kernels.device.from_host(x)
    if len(size) == 4:
        moved = moved.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    found = kernels.sum(moved, axes, False)
    assert found.dtype == dtype
    expected = x.astype("float64").sum(axis=axes)
    scale = np.abs(x.astype("float64")).sum(axis=axes)
    error = np.abs(kernels.device.to_host(found).astype("float64") - expected)
    assert (error <= TOLERANCE[dtype] * np.maximum(scale, 1.0)).all()
    assert not kernels.device.to_host(kernels.arrived).any()


def test_infinity_and_nan(kernels: SumOverrides) -> None:
    x = np.ones((40, 4), "float32")
    x[3, 0], x[7, 1], x[8, 2], x[9, 2] = np.inf, np.nan, np.inf, -np.inf
    found = kernels.device.to_host(kernels.sum(kernels.device.from_host(x), (0,), False))
    np.testing.assert_array_equal(found, [np.inf, np.nan, np.nan, 40.0])


def test_what_is_not_covered_goes_to_the_reference(kernels: SumOverrides) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for axes, keepdims in (((0,), False), ((0, 2), True), ((0, 1, 2), False)):
        found = kernels.sum(kernels.device.from_host(x), axes, keepdims)
        np.testing.assert_array_equal(kernels.device.to_host(found), x.sum(axis=axes, keepdims=keepdims))
    integers = kernels.sum(kernels.device.from_host(np.arange(6).reshape(3, 2)), (0,), False)
    np.testing.assert_array_equal(kernels.device.to_host(integers), [6, 9])


def test_runs_repeat_bit_for_bit(kernels: SumOverrides) -> None:
    x = kernels.device.from_host(np.random.default_rng(0).standard_normal((30_000, 5)).astype("float32"))
    assert len({kernels.device.to_host(kernels.sum(x, (0,), False)).tobytes() for _ in range(4)}) == 1
