"""The CUDA kernels of softmax and cross-entropy, on an emulated GPU, against the reference in float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes  # noqa: F401 - makes the name bfloat16 known to NumPy
import numpy as np
import pytest

from tinygrad_bn.backend import get_device
from tinygrad_bn.kernels.cuda.losses import LossOverrides
from tinygrad_bn.kernels.reference import Kernels

REFERENCE = Kernels(get_device("cpu"))
TOLERANCE = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 5e-7, "float64": 1e-15}
SIZES = [(1, 1), (3, 10), (8, 2), (9, 33), (40, 7), (5, 100), (2200, 3)]


@pytest.fixture
def kernels(emulated_gpu: Any) -> LossOverrides:
    return LossOverrides(get_device("cuda"))


def assert_close(kernels: LossOverrides, found: Any, expected: Any, dtype: str) -> None:
    assert found.dtype == dtype
    assert found.shape == np.shape(expected)
    scale = np.abs(expected)[np.isfinite(expected)].max(initial=1.0)
    tolerance = 10 * TOLERANCE[dtype]
    wide = kernels.device.to_host(found).astype("float64")
    np.testing.assert_allclose(wide, expected, rtol=tolerance, atol=scale * tolerance)


def check_cross_entropy(
    kernels: LossOverrides, x: Any, target: Any, ignore_index: int, reduction: str, grad: Any = None
) -> None:
    dtype = x.dtype.name
    rest = (ignore_index, reduction)
    wide = x.astype("float64")
    on_gpu = kernels.device.from_host
    with np.errstate(all="ignore"):
        expected = REFERENCE.class_cross_entropy(wide, target, *rest)
        found = kernels.class_cross_entropy(on_gpu(x), on_gpu(target), *rest)
        if grad is None:
            grad = np.asarray(np.random.default_rng(0).standard_normal(found.shape)).astype(x.dtype)
        expected_grad = REFERENCE.class_cross_entropy_grad(grad.astype("float64"), wide, target, *rest)
        found_grad = kernels.class_cross_entropy_grad(on_gpu(grad), on_gpu(x), on_gpu(target), *rest)
    assert_close(kernels, found, expected, dtype)
    assert_close(kernels, found_grad, expected_grad, dtype)
    assert not kernels.device.to_host(kernels.arrived).any()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES, ids=repr)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_cross_entropy(kernels: LossOverrides, dtype: str, size: tuple[int, int], reduction: str) -> None:
    rng = np.random.default_rng(0)
    x = (3.0 * rng.standard_normal(size)).astype(dtype)
    target = rng.integers(0, size[1], size[0])
    check_cross_entropy(kernels, x, target, -100, reduction)
    target[rng.random(size[0]) < 0.3] = 255
    check_cross_entropy(kernels, x, target.astype("uint8"), 255, reduction)


def test_large_and_infinite_logits_and_nan(kernels: LossOverrides) -> None:
    x = np.array([[1e30, -1e30, 0], [0, -np.inf, 1], [np.inf, 0, 1], [np.nan, 0, 1], [-np.inf, -np.inf, -np.inf]])
    x = np.concatenate([x, x[:, ::-1]])
    for target in (np.array([0, 0, 0, 1, 2] * 2), np.array([1, 1, 1, 2, -100] * 2)):
        for reduction in ("none", "mean", "sum"):
            check_cross_entropy(kernels, x, target, -100, reduction)
            check_cross_entropy(kernels, x.astype("float32"), target, -100, reduction)


def test_nothing_counts(kernels: LossOverrides) -> None:
    x, target = np.ones((3, 4), "float32"), np.zeros(3, "int64")
    for reduction in ("none", "mean", "sum"):
        check_cross_entropy(kernels, x, target, 0, reduction)


def test_a_target_that_is_no_class_gives_nan_and_reads_nothing_else(kernels: LossOverrides) -> None:
    x, target = (kernels.device.from_host(a) for a in (np.ones((3, 4), "float32"), np.array([1, 4, -1])))
    losses = kernels.device.to_host(kernels.class_cross_entropy(x, target, -100, "none"))
    np.testing.assert_array_equal(np.isnan(losses), [False, True, True])


def test_memory_that_is_laid_out_otherwise(kernels: LossOverrides) -> None:
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((6, 10)).astype("float32"), rng.integers(0, 5, 12)
    on_gpu = kernels.device.from_host
    found = kernels.class_cross_entropy(on_gpu(x)[:, ::2], on_gpu(target)[::2], -100, "none")
    assert_close(
        kernels, found, REFERENCE.class_cross_entropy(x[:, ::2].astype("float64"), target[::2], -100, "none"), "float32"
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [*SIZES, (2, 3, 5)], ids=repr)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(kernels: LossOverrides, dtype: str, size: tuple[int, ...], name: str) -> None:
    rng = np.random.default_rng(0)
    x, grad = ((3.0 * rng.standard_normal(size)).astype(dtype) for _ in range(2))
    axis = len(size) - 1
    found = getattr(kernels, name)(kernels.device.from_host(x), axis)
    assert_close(kernels, found, getattr(REFERENCE, name)(x.astype("float64"), axis), dtype)
    output = kernels.device.to_host(found)
    found = getattr(kernels, f"{name}_grad")(kernels.device.from_host(grad), found, axis)
    expected = getattr(REFERENCE, f"{name}_grad")(grad.astype("float64"), output.astype("float64"), axis)
    assert_close(kernels, found, expected, dtype)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_infinities_and_nan(kernels: LossOverrides, name: str) -> None:
    x = np.array([[0, -np.inf, 1], [np.inf, 0, 1], [1, np.nan, 0], [-np.inf, -np.inf, -np.inf], [1e30, -1e30, 0]])
    with np.errstate(all="ignore"):
        expected = getattr(REFERENCE, name)(x, 1)
    np.testing.assert_allclose(kernels.device.to_host(getattr(kernels, name)(kernels.device.from_host(x), 1)), expected)


def test_what_is_not_covered_goes_to_the_reference(kernels: LossOverrides) -> None:
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((2, 5, 3)), rng.integers(0, 5, (2, 3))
    on_gpu = kernels.device.from_host
    for reduction in ("none", "mean", "sum"):
        found = kernels.class_cross_entropy(on_gpu(x), on_gpu(target), -100, reduction)
        expected = REFERENCE.class_cross_entropy(x, target, -100, reduction)
        np.testing.assert_allclose(kernels.device.to_host(found), expected)
    np.testing.assert_allclose(kernels.device.to_host(kernels.softmax(on_gpu(x), 1)), REFERENCE.softmax(x, 1))
    assert kernels.class_cross_entropy(on_gpu(x[:0, :, 0]), on_gpu(target[:0, 0]), -100, "sum").item() == 0


def test_runs_repeat_bit_for_bit(kernels: LossOverrides) -> None:
    rng = np.random.default_rng(0)
    x, target = (kernels.device.from_host(a) for a in (rng.standard_normal((999, 9)), rng.integers(0, 9, 999)))
    results = {kernels.class_cross_entropy(x, target, 3, "mean").item() for _ in range(4)}
    assert len(results) == 1
