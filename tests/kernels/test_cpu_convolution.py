"""Compiled convolutions and matrix products against the reference in float64, on random shapes and memory layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.kernels.cpu import CpuKernels
from tinygrad_bn.kernels.reference import Kernels

CPU = get_device("cpu")
FAST, REFERENCE = CpuKernels(CPU), Kernels(CPU)
# Norm of the error over norm of the result. The bar for products of matrices in float32 is 1e-6.
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}


@pytest.fixture(params=[1, 2])
def number_of_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "_number", request.param)
    number: int = request.param
    return number


def assert_near(found: Any, expected: Any, tolerance: float) -> None:
    assert found.shape == expected.shape
    error = np.linalg.norm((found - expected).ravel()) / max(np.linalg.norm(expected.ravel()), 1e-30)
    assert error <= tolerance, f"relative error {error:.1e}"


def draw_array(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, layout: str) -> Any:
    """Random numbers in one of several memory layouts."""
    values = rng.standard_normal(shape).astype(dtype)
    if layout == "channels-last":
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout == "strided":
        wide = np.zeros((*shape[:-1], 2 * shape[-1] + 1), dtype)
        wide[..., 1::2] = values
        return wide[..., 1::2]
    if layout == "reversed":
        return np.ascontiguousarray(values[::-1, :, ::-1])[::-1, :, ::-1]
    return values


LAYOUTS = st.sampled_from(["plain", "channels-last", "strided", "reversed"])


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.sampled_from([(1, 1), (1, 2), (2, 1)]))
    padding = draw(st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2))
    least = [max(1, dilation[d] * (kernel[d] - 1) + 1 - sum(padding[d])) for d in (0, 1)]
    return {
        "size": tuple(n + draw(st.integers(0, 16)) for n in least),
        "batch": draw(st.integers(1, 5)),
        "channels": draw(st.sampled_from([1, 2, 3, 8, 10, 33, 70])),
        "out_channels": draw(st.sampled_from([1, 3, 8, 32, 33, 70])),
        "kernel": kernel,
        "geometry": (draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3)])), padding, dilation),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "layouts": draw(st.tuples(LAYOUTS, LAYOUTS, LAYOUTS)),
        "seed": draw(st.integers(0, 1000)),
    }


@settings(max_examples=150)
@given(case=convolutions(), threaded=st.booleans())
def test_the_three_convolutions(case: dict[str, Any], threaded: bool) -> None:
    rng = np.random.default_rng(case["seed"])
    dtype, kernel, geometry = case["dtype"], case["kernel"], case["geometry"]
    x_layout, weight_layout, grad_layout = case["layouts"]
    x = draw_array(rng, (case["batch"], case["channels"], *case["size"]), dtype, x_layout)
    weight = draw_array(rng, (case["out_channels"], case["channels"], *kernel), dtype, weight_layout)
    bias = rng.standard_normal(case["out_channels"]).astype(dtype) if case["seed"] % 2 else None
    before = threads._number
    threads._number = 2 if threaded else 1
    try:
        expected = REFERENCE.conv2d(*(_wide(a) for a in (x, weight, bias)), *geometry, 1)
        grad = draw_array(rng, expected.shape, dtype, grad_layout)
        assert_near(FAST.conv2d(x, weight, bias, *geometry, 1), expected, TOLERANCE[dtype])
        expected = REFERENCE.conv2d_input_grad(_wide(grad), _wide(weight), case["size"], *geometry, 1)
        assert_near(FAST.conv2d_input_grad(grad, weight, case["size"], *geometry, 1), expected, TOLERANCE[dtype])
        expected = REFERENCE.conv2d_weight_grad(_wide(x), _wide(grad), kernel, *geometry, 1)
        assert_near(FAST.conv2d_weight_grad(x, grad, kernel, *geometry, 1), expected, TOLERANCE[dtype])
    finally:
        threads._number = before


def _wide(a: Any) -> Any:
    return None if a is None else a.astype("float64")


@pytest.mark.parametrize(
    "shape", [(64, 32, 28, 32), (8, 64, 14, 64), (64, 3, 32, 64), (64, 256, 4, 64), (64, 128, 2, 64)]
)
def test_accuracy_at_sizes_of_real_networks(shape: tuple[int, int, int, int], number_of_threads: int) -> None:
    batch, channels, side, out_channels = shape
    rng = np.random.default_rng(0)
    x = draw_array(rng, (batch, channels, side, side), "float32", "channels-last")
    x = np.maximum(x, 0)  # as after a ReLU: a mean that is not zero is the harder case
    weight = rng.standard_normal((out_channels, channels, 3, 3)).astype("float32")
    grad = draw_array(rng, (batch, out_channels, side, side), "float32", "channels-last")
    geometry = ((1, 1), ((1, 1), (1, 1)), (1, 1))
    pairs = (
        (FAST.direct_conv2d(x, weight, None, *geometry), REFERENCE.conv2d(_wide(x), _wide(weight), None, *geometry, 1)),
        (
            FAST.direct_input_grad(grad, weight, (side, side), *geometry),
            REFERENCE.conv2d_input_grad(_wide(grad), _wide(weight), (side, side), *geometry, 1),
        ),
        (
            FAST.direct_weight_grad(x, grad, (3, 3), *geometry),
            REFERENCE.conv2d_weight_grad(_wide(x), _wide(grad), (3, 3), *geometry, 1),
        ),
    )
    for found, expected in pairs:
        assert_near(found, expected, 1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_infinities_and_nan_stay_where_they_belong(value: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8, 12, 12)).astype("float32")
    x[1, 3, 5, 5] = value
    weight = rng.standard_normal((8, 8, 3, 3)).astype("float32")
    geometry = ((1, 1), ((1, 1), (1, 1)), (1, 1))
    found = FAST.direct_conv2d(x, weight, None, *geometry)
    with np.errstate(all="ignore"):
        expected = REFERENCE.conv2d(x, weight, None, *geometry, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.isfinite(found[0]).all()


@settings(max_examples=60)
@given(
    rows=st.integers(1, 200),
    depth=st.integers(1, 1100),
    columns=st.integers(1, 150),
    order=st.sampled_from(["plain", "a transposed", "b transposed", "strided"]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_products_of_matrices(rows: int, depth: int, columns: int, order: str, dtype: str) -> None:
    rng = np.random.default_rng(rows + depth)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, depth), (depth, columns)))
    if order == "a transposed":
        a = np.asfortranarray(a)
    if order == "b transposed":
        b = np.asfortranarray(b)
    if order == "strided":
        a, b = np.repeat(a, 2, axis=1)[:, ::2], np.repeat(b, 3, axis=0)[::3]
    assert_near(FAST.matmul(a, b), _wide(a) @ _wide(b), TOLERANCE[dtype])
