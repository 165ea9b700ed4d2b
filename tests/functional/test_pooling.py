"""Pooling beyond the table of cases: random arguments, ties, NaN, infinities, indices."""

from __future__ import annotations

import numpy as np
import pytest
from compare import assert_close, compare_with_torch, torch
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_bn as tg
from tinygrad_bn import functional as F

TF = torch.nn.functional
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], dict]:
    kernel = draw(pairs)
    arguments = {
        "kernel_size": kernel,
        "stride": draw(st.none() | pairs),
        "padding": tuple(draw(st.integers(0, k // 2)) for k in kernel),
        "ceil_mode": draw(st.booleans()),
    }
    return (
        draw(st.integers(1, 2)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 9)),
    ), arguments


def _fits(function, shape, arguments) -> bool:
    try:
        return function(torch.zeros(shape), **arguments).numel() > 0
    except RuntimeError:
        return False


@given(windows(), st.tuples(st.integers(1, 3), st.integers(1, 3)), st.integers(0, 1000))
def test_max_pool_with_any_arguments(window, dilation, seed) -> None:
    shape, arguments = window
    arguments["dilation"] = dilation
    fits = _fits(TF.max_pool2d, shape, arguments)
    x = np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape).astype("float64")
    if not fits:
        with pytest.raises(ValueError, match="max_pool2d"):
            F.max_pool2d(tg.tensor(x), **arguments)
        return
    values, indices = F.max_pool2d(tg.tensor(x), **arguments, return_indices=True)
    expected, expected_indices = TF.max_pool2d(torch.tensor(x), **arguments, return_indices=True)
    assert_close(values, expected)
    # Where a window lies in the padding alone its maximum is -inf, and torch's backward pass aborts the process.
    assume(torch.isfinite(expected).all())
    assert_close(indices, expected_indices)
    compare_with_torch(lambda t: F.max_pool2d(t, **arguments), lambda t: TF.max_pool2d(t, **arguments), [x])


@given(windows(), st.booleans(), st.none() | st.sampled_from([-3, 1, 5]), st.integers(0, 1000))
def test_avg_pool_with_any_arguments(window, count_include_pad, divisor, seed) -> None:
    shape, arguments = window
    arguments |= {"count_include_pad": count_include_pad, "divisor_override": divisor}
    assume(_fits(TF.avg_pool2d, shape, arguments))
    x = np.random.default_rng(seed).standard_normal(shape)
    compare_with_torch(lambda t: F.avg_pool2d(t, **arguments), lambda t: TF.avg_pool2d(t, **arguments), [x])


@given(
    st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.none() | st.integers(1, 11), st.none() | st.integers(1, 11)) | st.integers(1, 11),
)
def test_adaptive_pool_with_any_size(shape, size) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    compare_with_torch(
        lambda t: F.adaptive_avg_pool2d(t, size), lambda t: TF.adaptive_avg_pool2d(t, size), [x], second=True
    )


@pytest.mark.parametrize("value", [0.0, -np.inf, np.inf, 5.0])
@pytest.mark.parametrize(
    "arguments", [{}, {"padding": 1}, {"stride": 1, "padding": 1}, {"stride": 2, "ceil_mode": True}]
)
def test_the_first_of_equal_maxima_takes_the_gradient(value: float, arguments: dict) -> None:
    x = np.full((2, 2, 5, 6), value)
    compare_with_torch(lambda t: F.max_pool2d(t, 3, **arguments), lambda t: TF.max_pool2d(t, 3, **arguments), [x])
    _, indices = F.max_pool2d(tg.tensor(x), 3, **arguments, return_indices=True)
    _, expected = TF.max_pool2d(torch.tensor(x), 3, **arguments, return_indices=True)
    assert_close(indices, expected)


@given(st.integers(0, 10_000), st.sampled_from([0, 1]), st.sampled_from([1, 2, 3]))
def test_few_different_values_with_infinities_and_nan(seed: int, padding: int, stride: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.choice([0.0, 1.0, -np.inf, np.inf, np.nan], size=(1, 2, 6, 5), p=[0.4, 0.3, 0.1, 0.1, 0.1])
    arguments = {"kernel_size": 3, "stride": stride, "padding": padding}
    compare_with_torch(lambda t: F.max_pool2d(t, **arguments), lambda t: TF.max_pool2d(t, **arguments), [x])
    _, indices = F.max_pool2d(tg.tensor(x), **arguments, return_indices=True)
    _, expected = TF.max_pool2d(torch.tensor(x), **arguments, return_indices=True)
    assert_close(indices, expected)


def test_indices_of_images_without_a_batch() -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 5))
    values, indices = F.max_pool2d(tg.tensor(x), 2, return_indices=True)
    expected, expected_indices = TF.max_pool2d(torch.tensor(x), 2, return_indices=True)
    assert_close(values, expected)
    assert_close(indices, expected_indices)
    assert not indices.requires_grad


def test_overlapping_windows_add_up_their_gradients() -> None:
    x = tg.zeros(1, 1, 3, 3, requires_grad=True)
    with tg.no_grad():
        x[0, 0, 1, 1] = 1.0
    F.max_pool2d(x, 2, stride=1).sum().backward()
    assert x.grad.numpy()[0, 0, 1, 1] == 4.0
    assert x.grad.numpy().sum() == 4.0


def test_an_infinite_gradient_reaches_the_maximum_alone() -> None:
    x = tg.tensor([[[[1.0, 2.0], [4.0, 3.0]]]], requires_grad=True)
    tg.functional.max_pool2d(x, 2).backward(np.full((1, 1, 1, 1), np.inf, dtype="float32"))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), [[[[0.0, 0.0], [np.inf, 0.0]]]])
