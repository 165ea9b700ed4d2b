"""Compiled depthwise convolutions against the reference in float64, on random shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import layouts
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.kernels.cpu.depthwise import DepthwiseOverrides
from tinygrad_bn.kernels.reference import Kernels
from tinygrad_bn.kernels.shapes import output_length

CPU = get_device("cpu")
FAST, REFERENCE = DepthwiseOverrides(CPU), Kernels(CPU)
# Error of an element over the sum of the absolute values of its products.
TOLERANCE = {"float32": 5e-7, "float64": 2e-15}


@pytest.fixture(params=[1, 2])
def number_of_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "_number", request.param)
    number: int = request.param
    return number


def assert_near(found: Any, compute: Any, *operands: Any) -> None:
    """Compare with what the reference computes in float64, element by element."""
    dtype = found.dtype.name
    expected = compute(*(None if a is None else a.astype("float64") for a in operands))
    magnitude = compute(*(None if a is None else np.abs(a.astype("float64")) for a in operands))
    assert found.shape == expected.shape
    assert dtype == operands[0].dtype.name
    assert (np.abs(found - expected) <= TOLERANCE[dtype] * magnitude).all()


def check(
    dtype: str,
    batch: int,
    channels: int,
    size: tuple[int, int],
    stride: int,
    padding: Any,
    repeats: int = 1,
    kernel: tuple[int, int] = (3, 3),
) -> None:
    """Compare the three convolutions, and that no input changes."""
    rng = np.random.default_rng(batch + channels)
    steps = (stride, stride)
    out = [output_length(size[d], kernel[d], stride, padding[d], 1) for d in (0, 1)]
    if min(out) < 1:
        return
    x = rng.standard_normal((batch, channels, *size)).astype(dtype)
    weight = rng.standard_normal((channels * repeats, 1, *kernel)).astype(dtype)
    bias = rng.standard_normal(channels * repeats).astype(dtype)
    grad = rng.standard_normal((batch, channels * repeats, *out)).astype(dtype)
    before = [a.copy() for a in (x, weight, bias, grad)]
    rest = (steps, padding, (1, 1))
    for b in (None, bias):
        found = FAST.depthwise_conv2d(x, weight, b, *rest)
        assert_near(found, lambda x, w, b: REFERENCE.conv2d(x, w, b, *rest, channels), x, weight, b)
    found = FAST.depthwise_input_grad(grad, weight, size, *rest, channels)
    assert_near(found, lambda g, w: REFERENCE.conv2d_input_grad(g, w, size, *rest, channels), grad, weight)
    found = FAST.depthwise_weight_grad(x, grad, kernel, *rest)
    assert_near(found, lambda x, g: REFERENCE.conv2d_weight_grad(x, g, kernel, *rest, channels), x, grad)
    for array, old in zip((x, weight, bias, grad), before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(
    batch=st.integers(1, 3),
    channels=st.sampled_from([1, 2, 3, 8, 10, 16, 33, 64]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stride=st.sampled_from([1, 2]),
    padding=st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    repeats=st.sampled_from([1, 1, 2, 3]),
)
@settings(max_examples=100)
def test_against_the_reference(dtype: str, **case: Any) -> None:
    check(dtype, **case)


@pytest.mark.parametrize("stride", [1, 2])
def test_large_images_on_several_threads(stride: int, number_of_threads: int) -> None:
    check("float32", 4, 32, (32, 40), stride, ((1, 1), (1, 1)))


@pytest.mark.parametrize(("kernel", "stride"), [((5, 5), 1), ((1, 3), 2), ((3, 3), 3)])
def test_what_is_not_covered_goes_to_the_reference(kernel: tuple[int, int], stride: int) -> None:
    check("float32", 2, 3, (9, 8), stride, ((1, 1), (2, 1)), kernel=kernel)


def test_memory_of_the_inputs_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 5, 6, 7)), rng.standard_normal((5, 1, 3, 3))
    rest = (None, (1, 1), ((1, 1), (1, 1)), (1, 1))
    expected = FAST.depthwise_conv2d(x, weight, *rest)
    for (what, a), (_, b) in zip(layouts(x), layouts(weight), strict=True):
        np.testing.assert_array_equal(FAST.depthwise_conv2d(a, b, *rest), expected, err_msg=what)


def test_nan_and_infinity_reach_their_windows_and_no_others() -> None:
    x = np.zeros((1, 3, 8, 8), "float32")
    x[0, 0, 0, 0], x[0, 1, 7, 7] = np.nan, np.inf
    weight = np.ones((3, 1, 3, 3), "float32")
    for stride in ((1, 1), (2, 2)):
        rest = (None, stride, ((1, 1), (1, 1)), (1, 1))
        with np.errstate(invalid="ignore"):
            expected = REFERENCE.conv2d(x, weight, *rest, 3)
        np.testing.assert_array_equal(FAST.depthwise_conv2d(x, weight, *rest), expected)


def test_the_result_does_not_depend_on_chance() -> None:
    rng = np.random.default_rng(0)
    x, grad = (rng.standard_normal((16, 32, 16, 16)).astype("float32") for _ in range(2))
    rest = ((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    expected = FAST.depthwise_weight_grad(x, grad, *rest)
    for _ in range(5):
        np.testing.assert_array_equal(FAST.depthwise_weight_grad(x, grad, *rest), expected)
