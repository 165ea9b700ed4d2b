"""Compiled sums over everything but the channels."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.kernels.cpu import CpuKernels
from tinygrad_bn.kernels.reference import Kernels

FAST, REFERENCE = CpuKernels(get_device("cpu")), Kernels(get_device("cpu"))


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3, 8, 33, 512, 2000])
@pytest.mark.parametrize("layout", ["channels-last", "plain", "matrix"])
def test_sums(layout: str, channels: int, dtype: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_number", number)
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((7, 40, 31, channels)) + 1.0).astype(dtype)
    axes: tuple[int, ...] = (0, 2, 3)
    if layout == "matrix":
        x, axes = x[0, :, 0], (0,)
    else:
        x = x.transpose(0, 3, 1, 2)
        x = np.ascontiguousarray(x) if layout == "plain" else x
    expected = x.astype("float64").sum(axis=axes)
    found = FAST.sum(x, axes, False)
    assert found.dtype == dtype
    assert found.shape == (channels,)
    np.testing.assert_allclose(found, expected, rtol=3e-6 if dtype == "float32" else 1e-13)


def test_what_is_not_covered_goes_to_the_reference() -> None:
    x = np.random.default_rng(0).standard_normal((8, 16, 9, 9)).astype("float32").transpose(0, 2, 3, 1)
    for axes, keepdims in (((0, 2, 3), True), ((1,), False), ((0, 1, 2, 3), False)):
        np.testing.assert_array_equal(FAST.sum(x, axes, keepdims), REFERENCE.sum(x, axes, keepdims))


def test_nan_stays_in_its_channel() -> None:
    x = np.ones((64, 20, 20, 8), "float32")
    x[3, 4, 5, 6] = np.nan
    found = FAST.sum(x.transpose(0, 3, 1, 2), (0, 2, 3), False)
    np.testing.assert_array_equal(np.isnan(found), np.arange(8) == 6)
    assert (found[:6] == 64 * 400).all()
