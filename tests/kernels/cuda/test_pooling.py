"""The CUDA kernels of pooling, on an emulated GPU: values, winners and gradients, ties, NaN and infinities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes  # noqa: F401 - makes the name bfloat16 known to NumPy
import numpy as np
import pytest
import stand_in
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinygrad_bn.backend import get_device
from tinygrad_bn.kernels.cuda.pooling import PoolingOverrides
from tinygrad_bn.kernels.reference import Kernels
from tinygrad_bn.kernels.shapes import pooled_length

REFERENCE = Kernels(get_device("cpu"))
TOLERANCE = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 5e-7, "float64": 1e-15}
DTYPES = st.sampled_from([*TOLERANCE])


@pytest.fixture(scope="module")
def kernels() -> Iterator[PoolingOverrides]:
    with stand_in.emulated_gpu():
        yield PoolingOverrides(get_device("cuda"))


@st.composite
def pools(draw: st.DrawFn, dilated: bool) -> dict[str, Any]:
    pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel = draw(pairs)
    stride = kernel if draw(st.booleans()) else draw(pairs)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) if dilated else (1, 1)
    size = draw(st.tuples(st.integers(1, 11), st.integers(1, 11)))
    ceil_mode = draw(st.booleans())
    out = tuple(pooled_length(size[d], kernel[d], stride[d], padding[d], dilation[d], ceil_mode) for d in (0, 1))
    assume(min(out) >= 1)
    channels = draw(st.sampled_from([1, 3, 8, 10, 16, 33]))
    return {
        "shape": (draw(st.integers(1, 3)), channels, *size),
        "window": (kernel, stride, padding, dilation),
        "out": out,
    }


def with_ties_and_specials(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    values = rng.integers(-2, 3, shape).astype("float64")
    for special in (np.nan, np.inf, -np.inf):
        values[rng.random(shape) < 0.1] = special
    return values.astype(dtype)


def on_gpu(kernels: PoolingOverrides, array: Any, laid_out: str = "channels first") -> Any:
    moved = kernels.device.from_host(array)
    if laid_out == "channels last":
        return moved.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    return moved


def assert_equal(kernels: PoolingOverrides, found: Any, expected: Any) -> None:
    assert found.shape == expected.shape
    found = kernels.device.to_host(found)
    np.testing.assert_array_equal(found.astype("float64"), np.asarray(expected).astype("float64"))


def check_max(kernels: PoolingOverrides, dtype: str, case: dict[str, Any], laid_out: str) -> None:
    rng = np.random.default_rng(0)
    window, size = case["window"], case["shape"][2:]
    x = with_ties_and_specials(rng, case["shape"], dtype)
    out, winner = kernels.max_pool2d(on_gpu(kernels, x, laid_out), *window, case["out"])
    with np.errstate(all="ignore"):
        expected, expected_winner = REFERENCE.max_pool2d(x.astype("float64"), *window, case["out"])
    assert out.dtype == x.dtype
    assert out.transpose(0, 2, 3, 1).flags.c_contiguous
    assert_equal(kernels, out, expected)
    assert_equal(kernels, winner, expected_winner)
    indices = REFERENCE.max_pool2d_indices(expected_winner, size[1], *window)
    assert_equal(kernels, kernels.max_pool2d_indices(winner, size[1], *window), indices)
    values = with_ties_and_specials(rng, out.shape, dtype)
    with np.errstate(invalid="ignore"):
        expected = REFERENCE.max_pool2d_scatter(values.astype("float64"), expected_winner, size, *window)
    found = kernels.max_pool2d_scatter(on_gpu(kernels, values, laid_out), winner, size, *window)
    assert_equal(kernels, found, expected)
    found = kernels.max_pool2d_gather(on_gpu(kernels, x, laid_out), winner, *window)
    assert_equal(kernels, found, REFERENCE.max_pool2d_gather(x.astype("float64"), expected_winner, *window))


@given(dtype=DTYPES, case=pools(dilated=True), laid_out=st.sampled_from(["channels first", "channels last"]))
@settings(max_examples=150)
def test_max_pooling(kernels: PoolingOverrides, dtype: str, case: dict[str, Any], laid_out: str) -> None:
    check_max(kernels, dtype, case, laid_out)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_windows_with_more_elements_than_a_byte_counts(kernels: PoolingOverrides, dtype: str) -> None:
    case = {"shape": (2, 8, 20, 40), "window": ((16, 17), (3, 3), (0, 0), (1, 1)), "out": (2, 8)}
    check_max(kernels, dtype, case, "channels last")


def test_overlapping_windows_add_up_in_the_references_order(kernels: PoolingOverrides) -> None:
    rng = np.random.default_rng(0)
    window, size = ((3, 3), (1, 1), (1, 1), (1, 1)), (7, 9)
    x, values = (rng.standard_normal((2, 8, *size)).astype("float32") for _ in range(2))
    _, winner = REFERENCE.max_pool2d(x, *window, size)
    found = kernels.max_pool2d_scatter(on_gpu(kernels, values), on_gpu(kernels, winner), size, *window)
    assert_equal(kernels, found, REFERENCE.max_pool2d_scatter(values, winner, size, *window))


def check_average(kernels: PoolingOverrides, dtype: str, case: dict[str, Any], divisor: Any, counted: bool) -> None:
    rng = np.random.default_rng(0)
    (kernel, stride, padding, _), out, size = case["window"], case["out"], case["shape"][2:]
    own = divisor
    if divisor is None:
        divisor = REFERENCE.avg_pool2d_divisor(size, kernel, stride, padding, out, counted)
        own = kernels.avg_pool2d_divisor(size, kernel, stride, padding, out, counted)
    x = rng.standard_normal(case["shape"]).astype(dtype)
    grad = rng.standard_normal((*case["shape"][:2], *out)).astype(dtype)
    found = kernels.avg_pool2d(on_gpu(kernels, x, "channels last"), kernel, stride, padding, out, own)
    found_grad = kernels.avg_pool2d_grad(on_gpu(kernels, grad), size, kernel, stride, padding, own)
    expected = REFERENCE.avg_pool2d(x.astype("float64"), kernel, stride, padding, out, divisor)
    expected_grad = REFERENCE.avg_pool2d_grad(grad.astype("float64"), size, kernel, stride, padding, divisor)
    for ours, theirs in ((found, expected), (found_grad, expected_grad)):
        assert ours.dtype == dtype
        assert ours.shape == theirs.shape
        wide = kernels.device.to_host(ours).astype("float64")
        np.testing.assert_allclose(wide, theirs, rtol=0, atol=10 * TOLERANCE[dtype])


@given(dtype=DTYPES, case=pools(dilated=False), divisor=st.sampled_from([None, None, 3, -2]), counted=st.booleans())
@settings(max_examples=150)
def test_average_pooling(
    kernels: PoolingOverrides, dtype: str, case: dict[str, Any], divisor: Any, counted: bool
) -> None:
    check_average(kernels, dtype, case, divisor, counted)


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 5), (40, 3)])
def test_the_mean_of_whole_images(kernels: PoolingOverrides, size: tuple[int, int]) -> None:
    for channels in (1, 8, 10, 64):
        case = {"shape": (3, channels, *size), "window": (size, size, (0, 0), (1, 1)), "out": (1, 1)}
        check_average(kernels, "float32", case, size[0] * size[1], True)


def test_many_pixels(kernels: PoolingOverrides) -> None:
    case = {"shape": (4, 40, 32, 32), "window": ((3, 3), (2, 2), (1, 1), (1, 1)), "out": (16, 16)}
    check_max(kernels, "float32", case, "channels last")
    check_average(kernels, "float32", case, None, False)


def test_what_is_not_covered_goes_to_the_reference(kernels: PoolingOverrides) -> None:
    window = ((2, 2), (2, 2), (0, 0), (1, 1))
    empty = np.zeros((0, 3, 4, 4), "float32")
    out, winner = kernels.max_pool2d(on_gpu(kernels, empty), *window, (2, 2))
    assert out.shape == winner.shape == (0, 3, 2, 2)
    assert kernels.avg_pool2d(on_gpu(kernels, empty), *window[:3], (2, 2), 4).shape == (0, 3, 2, 2)
    integers = np.arange(32).reshape(1, 2, 4, 4)
    out, winner = kernels.max_pool2d(on_gpu(kernels, integers), *window, (2, 2))
    assert_equal(kernels, out, integers[:, :, 1::2, 1::2])
    scattered = kernels.max_pool2d_scatter(out, winner, (4, 4), *window)
    assert_equal(kernels, scattered.sum(), integers[:, :, 1::2, 1::2].sum())


def test_divisors_are_computed_once(kernels: PoolingOverrides) -> None:
    same, different = ((4, 4), (2, 2), (2, 2), (0, 0), (2, 2), True), ((4, 4), (3, 3), (1, 1), (1, 1), (4, 4), False)
    assert kernels.avg_pool2d_divisor(*same) == 4.0
    assert kernels.avg_pool2d_divisor(*different) is kernels.avg_pool2d_divisor(*different)
    assert_equal(kernels, kernels.avg_pool2d_divisor(*different), REFERENCE.avg_pool2d_divisor(*different))
