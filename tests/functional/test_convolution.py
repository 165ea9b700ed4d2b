"""Convolutions with random arguments, and what their three operations promise each other."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from compare import compare_with_torch, torch
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_bn as tg
from tinygrad_bn import functional as F

TF = torch.nn.functional
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[np.ndarray], dict]:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inside = draw(st.sampled_from([1, 2, 8]))  # 8 values in a kernel row make the kernel go row by row
    outside = draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    batch = draw(st.integers(0, 2))
    size = draw(st.tuples(st.integers(1, 13), st.integers(1, 13)))
    arguments = {
        "stride": draw(pairs | st.integers(1, 3)),
        "padding": draw(st.tuples(st.integers(0, 3), st.integers(0, 3)) | st.sampled_from([0, 1, "same", "valid"])),
        "dilation": draw(pairs | st.integers(1, 2)),
        "groups": groups,
    }
    if arguments["padding"] == "same":
        arguments["stride"] = 1
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.standard_normal((batch, groups * inside, *size))
    weight = rng.standard_normal((groups * outside, inside, *kernel))
    return [x, weight, rng.standard_normal(groups * outside)], arguments


def _accepted(function, arrays: list[np.ndarray], arguments: dict) -> bool:
    """Whether torch takes the call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that "same" may copy
        try:
            function(*(torch.tensor(a) for a in arrays), **arguments)
        except RuntimeError:
            return False
    return True


@given(convolutions())
def test_conv2d_with_any_arguments(drawn) -> None:
    arrays, arguments = drawn
    if not _accepted(TF.conv2d, arrays, arguments):
        with pytest.raises(ValueError, match="conv2d"):
            F.conv2d(*(tg.tensor(a) for a in arrays), **arguments)
        return
    compare_with_torch(lambda *t: F.conv2d(*t, **arguments), lambda *t: TF.conv2d(*t, **arguments), arrays)


@given(convolutions(), st.integers(0, 2), st.integers(0, 2))
def test_conv_transpose2d_with_any_arguments(drawn, rows: int, columns: int) -> None:
    (x, weight, _), arguments = drawn
    assume(not isinstance(arguments["padding"], str) and x.shape[0] > 0)  # of no images torch checks nothing
    groups = arguments["groups"]
    x = x[:, :1].repeat(weight.shape[0], axis=1) + np.arange(weight.shape[0])[:, None, None]
    bias = np.arange(float(weight.shape[1] * groups))
    arguments["output_padding"] = (rows, columns)
    if not _accepted(TF.conv_transpose2d, [x, weight, bias], arguments):
        with pytest.raises(ValueError, match="conv_transpose2d"):
            F.conv_transpose2d(*(tg.tensor(a) for a in (x, weight, bias)), **arguments)
        return
    compare_with_torch(
        lambda *t: F.conv_transpose2d(*t, **arguments),
        lambda *t: TF.conv_transpose2d(*t, **arguments),
        [x, weight, bias],
    )


@given(convolutions())
def test_gradients_of_gradients_with_any_arguments(drawn) -> None:
    arrays, arguments = drawn
    assume(_accepted(TF.conv2d, arrays, arguments))
    compare_with_torch(lambda *t: F.conv2d(*t, **arguments), lambda *t: TF.conv2d(*t, **arguments), arrays, second=True)


def test_conv_transpose2d_is_the_gradient_of_conv2d() -> None:
    x = tg.randn(2, 4, 9, 8, dtype="float64", requires_grad=True)
    weight = tg.randn(6, 2, 3, 3, dtype="float64")
    y = F.conv2d(x, weight, stride=2, padding=1, groups=2)
    upstream = tg.randn(*y.shape, dtype="float64")
    (gradient,) = tg.grad(y, x, upstream)
    transposed = F.conv_transpose2d(upstream, weight, stride=2, padding=1, groups=2, output_padding=(0, 1))
    np.testing.assert_allclose(transposed.numpy(), gradient.numpy(), rtol=1e-12, atol=1e-12)


def test_only_the_gradients_that_are_asked_for_are_computed() -> None:
    x = tg.randn(1, 2, 5, 5)
    weight, bias = tg.randn(3, 2, 3, 3, requires_grad=True), tg.randn(3)
    y = F.conv2d(x, weight, bias)
    assert y._node.op.needs == (False, True, False)
    assert [saved is not None for saved in y._node.saved] == [True, False, False]
    y.sum().backward()
    assert x.grad is None
    assert bias.grad is None
    assert weight.grad is not None


def test_same_padding_puts_the_odd_row_below_and_right() -> None:
    x = tg.ones(1, 1, 2, 2)
    y = F.conv2d(x, tg.tensor([[[[1.0, 2.0], [4.0, 8.0]]]]), padding="same")
    assert y.tolist() == [[[[15.0, 5.0], [3.0, 1.0]]]]


def test_flops_count_a_multiplication_and_an_addition_each() -> None:
    y = F.conv2d(tg.randn(2, 4, 6, 6, requires_grad=True), tg.randn(8, 2, 3, 3), groups=2)
    node = y._node
    assert node.op.flops([(2, 4, 6, 6), (8, 2, 3, 3), None], y.shape) == 2 * (2 * 8 * 4 * 4) * (2 * 3 * 3)
