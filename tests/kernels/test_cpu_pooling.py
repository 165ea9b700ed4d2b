"""Compiled pooling against the reference: values, winners and gradients, ties, NaN and infinities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import layouts
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.kernels.cpu.pooling import PoolingOverrides
from tinygrad_bn.kernels.reference import Kernels
from tinygrad_bn.kernels.shapes import pooled_length

CPU = get_device("cpu")
FAST, REFERENCE = PoolingOverrides(CPU), Kernels(CPU)
TOLERANCE = {"float32": 5e-7, "float64": 1e-15}


@pytest.fixture(params=[1, 2])
def number_of_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "_number", request.param)
    number: int = request.param
    return number


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
    batch = draw(st.integers(1, 3))
    return {
        "shape": (batch, channels, *size),
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "out": out,
    }


def _with_ties_and_specials(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    values = rng.integers(-2, 3, shape).astype(dtype)
    for special in (np.nan, np.inf, -np.inf):
        values[rng.random(shape) < 0.1] = special
    return values


def check_max(dtype: str, case: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    window = (case["kernel"], case["stride"], case["padding"], case["dilation"])
    x = _with_ties_and_specials(rng, case["shape"], dtype)
    out, winner = FAST.max_pool2d(x, *window, case["out"])
    expected, expected_winner = REFERENCE.max_pool2d(x, *window, case["out"])
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(winner, expected_winner)
    assert out.dtype == dtype
    size = case["shape"][2:]
    np.testing.assert_array_equal(
        FAST.max_pool2d_indices(winner, size[1], *window),
        REFERENCE.max_pool2d_indices(expected_winner, size[1], *window),
    )
    values = _with_ties_and_specials(rng, out.shape, dtype)
    with np.errstate(invalid="ignore"):
        expected = REFERENCE.max_pool2d_scatter(values, expected_winner, size, *window)
    np.testing.assert_array_equal(FAST.max_pool2d_scatter(values, winner, size, *window), expected)
    np.testing.assert_array_equal(
        FAST.max_pool2d_gather(x, winner, *window), REFERENCE.max_pool2d_gather(x, expected_winner, *window)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(case=pools(dilated=True))
@settings(max_examples=150)
def test_max_pooling(dtype: str, case: dict[str, Any]) -> None:
    check_max(dtype, case)


def check_average(dtype: str, case: dict[str, Any], divisor: Any) -> None:
    rng = np.random.default_rng(0)
    kernel, stride, padding, out, size = (
        *(case[name] for name in ("kernel", "stride", "padding", "out")),
        case["shape"][2:],
    )
    if divisor is None:
        divisor = REFERENCE.avg_pool2d_divisor(size, kernel, stride, padding, out, True)
    x = rng.standard_normal(case["shape"]).astype(dtype)
    grad = rng.standard_normal((*case["shape"][:2], *out)).astype(dtype)
    found = FAST.avg_pool2d(x, kernel, stride, padding, out, divisor)
    expected = REFERENCE.avg_pool2d(x.astype("float64"), kernel, stride, padding, out, divisor)
    np.testing.assert_allclose(found, expected, rtol=0, atol=10 * TOLERANCE[dtype])
    found_grad = FAST.avg_pool2d_grad(grad, size, kernel, stride, padding, divisor)
    expected = REFERENCE.avg_pool2d_grad(grad.astype("float64"), size, kernel, stride, padding, divisor)
    np.testing.assert_allclose(found_grad, expected, rtol=0, atol=10 * TOLERANCE[dtype])
    assert found.dtype == found_grad.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(case=pools(dilated=False), divisor=st.sampled_from([None, None, 3, -2]))
@settings(max_examples=100)
def test_average_pooling(dtype: str, case: dict[str, Any], divisor: Any) -> None:
    check_average(dtype, case, divisor)


def test_large_images_on_several_threads(number_of_threads: int) -> None:
    for kernel, stride, padding, out in (((2, 2), (2, 2), (0, 0), (16, 20)), ((3, 3), (2, 2), (1, 1), (16, 20))):
        case = {"shape": (4, 32, 32, 40), "kernel": kernel, "stride": stride, "padding": padding, "out": out}
        check_max("float32", case | {"dilation": (1, 1)})
        check_average("float32", case, None)


def test_global_average_of_many_pixels_is_exact_but_for_the_last_bits() -> None:
    x = (1000.0 + np.random.default_rng(0).standard_normal((2, 3, 64, 64))).astype("float32")
    found = FAST.avg_pool2d(x, (64, 64), (64, 64), (0, 0), (1, 1), 64 * 64)
    np.testing.assert_allclose(found[..., 0, 0], x.mean(axis=(2, 3), dtype="float64"), rtol=4e-7)


def test_winners_of_large_windows_do_not_overflow() -> None:
    x = np.arange(20 * 20, dtype="float32").reshape(1, 1, 20, 20)
    window = ((20, 20), (20, 20), (0, 0), (1, 1))
    _, winner = FAST.max_pool2d(x, *window, (1, 1))
    assert winner.item() == 399
    assert FAST.max_pool2d_indices(winner, 20, *window).item() == 399
    _, winner = FAST.max_pool2d(x, (3, 3), (3, 3), (0, 0), (8, 8), (1, 1))
    assert FAST.max_pool2d_indices(winner, 20, (3, 3), (3, 3), (0, 0), (8, 8)).item() == 16 * 20 + 16


def test_memory_of_the_inputs_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    x, grad = rng.standard_normal((2, 5, 6, 4)), rng.standard_normal((2, 5, 3, 2))
    window = ((2, 2), (2, 2), (0, 0), (1, 1))
    out, winner = FAST.max_pool2d(x, *window, (3, 2))
    back = FAST.max_pool2d_scatter(grad, winner, (6, 4), *window)
    for (what, a), (_, b) in zip(layouts(x), layouts(grad), strict=True):
        np.testing.assert_array_equal(FAST.max_pool2d(a, *window, (3, 2))[0], out, err_msg=what)
        np.testing.assert_array_equal(FAST.max_pool2d_scatter(b, winner, (6, 4), *window), back, err_msg=what)


def test_float16_goes_to_the_reference() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype("float16")
    window = ((2, 2), (2, 2), (0, 0))
    out, winner = FAST.max_pool2d(x, *window, (1, 1), (2, 2))
    np.testing.assert_array_equal(out, REFERENCE.max_pool2d(x, *window, (1, 1), (2, 2))[0])
    assert FAST.max_pool2d_scatter(out, winner, (4, 4), *window, (1, 1)).dtype == "float16"
    assert FAST.avg_pool2d(x, *window, (2, 2), 4).dtype == "float16"
    assert FAST.avg_pool2d_grad(out, (4, 4), *window, 4).dtype == "float16"
