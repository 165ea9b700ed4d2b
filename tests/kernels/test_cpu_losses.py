"""Compiled cross-entropy of class indices against the reference in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import layouts
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.kernels.cpu.losses import LossOverrides
from tinygrad_bn.kernels.reference import Kernels

CPU = get_device("cpu")
FAST, REFERENCE = LossOverrides(CPU), Kernels(CPU)
TOLERANCE = {"float32": 4e-7, "float64": 1e-15}


@pytest.fixture(params=[1, 2])
def number_of_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "_number", request.param)
    number: int = request.param
    return number


def check(x: Any, target: Any, ignore_index: int, reduction: str) -> None:
    rest = (target, ignore_index, reduction)
    wide = x.astype("float64")
    with np.errstate(all="ignore"):
        found, expected = FAST.class_cross_entropy(x, *rest), REFERENCE.class_cross_entropy(wide, *rest)
        grad = np.asarray(np.random.default_rng(0).standard_normal(found.shape)).astype(x.dtype)
        found_grad = FAST.class_cross_entropy_grad(grad, x, *rest)
        expected_grad = REFERENCE.class_cross_entropy_grad(grad.astype("float64"), wide, *rest)
    assert found.dtype == found_grad.dtype == x.dtype
    assert found.shape == np.shape(expected)
    tolerance = TOLERANCE[x.dtype.name]
    np.testing.assert_allclose(found, expected, rtol=10 * tolerance, atol=10 * tolerance)
    np.testing.assert_allclose(found_grad, expected_grad, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(
    batch=st.integers(1, 5),
    classes=st.sampled_from([1, 2, 3, 10, 33]),
    size=st.sampled_from([(), (3,), (2, 4)]),
    reduction=st.sampled_from(["none", "mean", "sum"]),
    ignore_index=st.sampled_from([-100, 0, 255]),
    kind=st.sampled_from(["int64", "int32", "uint8"]),
    seed=st.integers(0, 1000),
)
def test_against_the_reference(
    dtype: str, batch: int, classes: int, size: Any, reduction: str, ignore_index: int, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = (5.0 * rng.standard_normal((batch, classes, *size))).astype(dtype)
    target = rng.integers(0, classes, (batch, *size))
    if kind != "uint8" or ignore_index >= 0:
        target[rng.random(target.shape) < 0.3] = ignore_index
    check(x, target.astype(kind), ignore_index, reduction)


def test_large_and_infinite_logits_and_nan() -> None:
    x = np.array([[1e30, -1e30, 0], [0, -np.inf, 1], [np.inf, 0, 1], [np.nan, 0, 1], [-np.inf, -np.inf, -np.inf]])
    for target in (np.array([0, 0, 0, 1, 2]), np.array([1, 1, 1, 2, -100])):
        for reduction in ("none", "mean", "sum"):
            check(x, target, -100, reduction)
            check(x.astype("float32"), target, -100, reduction)


def test_nothing_counts() -> None:
    x, target = np.ones((3, 4), "float32"), np.zeros(3, "int64")
    check(x, target, 0, "mean")
    assert (FAST.class_cross_entropy_grad(np.float32(1.0), x, target, 0, "sum") == 0).all()


def test_many_rows_on_several_threads(number_of_threads: int) -> None:
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((300, 7, 5, 4)).astype("float32"), rng.integers(0, 7, (300, 5, 4))
    for reduction in ("none", "mean", "sum"):
        check(x, target, 3, reduction)


def test_memory_of_the_inputs_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((4, 3, 2, 5)), rng.integers(0, 3, (4, 2, 5))
    grad = rng.standard_normal(target.shape)
    expected = FAST.class_cross_entropy_grad(grad, x, target, -100, "none")
    for what, moved in layouts(x):
        np.testing.assert_array_equal(FAST.class_cross_entropy_grad(grad, moved, target, -100, "none"), expected, what)
    for what, moved in layouts(target):
        np.testing.assert_array_equal(FAST.class_cross_entropy_grad(grad, x, moved, -100, "none"), expected, what)
    for what, moved in layouts(grad):
        np.testing.assert_array_equal(FAST.class_cross_entropy_grad(moved, x, target, -100, "none"), expected, what)


def test_float16_goes_to_the_reference() -> None:
    x, target = np.random.default_rng(0).standard_normal((3, 4)).astype("float16"), np.array([0, 3, 1])
    loss = FAST.class_cross_entropy(x, target, -100, "none")
    np.testing.assert_array_equal(loss, REFERENCE.class_cross_entropy(x, target, -100, "none"))
    assert loss.dtype == FAST.class_cross_entropy_grad(loss, x, target, -100, "none").dtype == "float16"
