"""Reductions over any axes, of empty tensors, with ties and NaN."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from compare import assert_close, compare_with_torch, torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from memory import shares_memory

import tinygrad_bn as tg
from tinygrad_bn.errors import DTypeError, ShapeError

NAMES = ["sum", "mean", "var", "std", "max", "min", "any", "all"]


@st.composite
def reductions(draw: st.DrawFn, min_side: int = 1) -> tuple[np.ndarray, object, bool]:
    shape = draw(array_shapes(min_dims=0, max_dims=4, min_side=min_side, max_side=4))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True)) if shape else []
    signed = tuple(a - len(shape) if draw(st.booleans()) else a for a in axes)
    axis = draw(st.sampled_from([None, signed, *(signed if len(signed) == 1 else ())]))
    array = np.random.default_rng(draw(st.integers(0, 100))).standard_normal(shape)
    return array, axis, draw(st.booleans())


@pytest.mark.parametrize("name", NAMES)
@given(reductions())
def test_values_as_in_numpy(name: str, drawn) -> None:
    array, axis, keepdims = drawn
    if name in ("any", "all"):
        array = array > 0.5
    assert_close(
        getattr(tg.tensor(array), name)(axis=axis, keepdims=keepdims),
        getattr(array, name)(axis=axis, keepdims=keepdims),
    )


@pytest.mark.parametrize("name", ["sum", "mean", "any", "all", "var"])
@given(reductions(min_side=0))
def test_of_nothing_as_in_numpy(name: str, drawn) -> None:
    array, axis, keepdims = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns where it divides by nothing
        expected = getattr(array, name)(axis=axis, keepdims=keepdims)
    x = tg.tensor(array, requires_grad=True)
    result = getattr(x, name)(axis=axis, keepdims=keepdims)
    assert_close(result, expected)
    if result.requires_grad:
        (slope,) = tg.grad(result.sum(), x)
        assert slope.shape == array.shape


@given(reductions(), st.integers(0, 3))
def test_degrees_of_freedom(drawn, ddof: int) -> None:
    array, axis, keepdims = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = array.var(axis=axis, ddof=ddof, keepdims=keepdims)
    assert_close(tg.tensor(array).var(axis=axis, ddof=ddof, keepdims=keepdims), expected)


@given(reductions())
def test_gradients_as_in_torch(drawn) -> None:
    array, axis, keepdims = drawn
    axes = tuple(range(array.ndim)) if axis is None else axis
    if axes == ():  # torch takes no axes for all
        return
    for ours, theirs in (
        (lambda x: x.sum(axis, keepdims), lambda x: x.sum(axes, keepdim=keepdims)),
        (lambda x: x.mean(axis, keepdims), lambda x: x.mean(axes, keepdim=keepdims)),
        (lambda x: x.var(axis, 0, keepdims), lambda x: x.var(axes, correction=0, keepdim=keepdims)),
        (lambda x: x.max(axis, keepdims), lambda x: x.amax(axes, keepdim=keepdims)),
        (lambda x: x.min(axis, keepdims), lambda x: x.amin(axes, keepdim=keepdims)),
        (lambda x: x.logsumexp(axis, keepdims), lambda x: x.logsumexp(axes, keepdim=keepdims)),
    ):
        compare_with_torch(ours, theirs, [array])
        compare_with_torch(ours, theirs, [array], second=True)


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_first_of_equal_extremes_takes_the_gradient(name: str) -> None:
    x = tg.tensor([[1.0, 3.0, 3.0], [1.0, 3.0, 1.0]], requires_grad=True)
    (over_all,) = tg.grad(getattr(x, name)(), x)
    expected = [[0, 1, 0], [0, 0, 0]] if name == "max" else [[1, 0, 0], [0, 0, 0]]
    assert over_all.tolist() == expected
    (over_rows,) = tg.grad(getattr(x, name)(axis=0).sum(), x)
    reference = torch.tensor(x.numpy().copy(), requires_grad=True)
    getattr(reference, name)(dim=0).values.sum().backward()
    assert over_rows.tolist() == reference.grad.tolist()


def test_nan_is_the_extreme() -> None:
    x = tg.tensor([1.0, np.nan, 5.0, np.nan], requires_grad=True)
    for name in ("max", "min"):
        y = getattr(x, name)()
        assert np.isnan(y.item())
        assert getattr(x, "arg" + name)().item() == 1
        (slope,) = tg.grad(y, x)
        assert slope.tolist() == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@given(reductions())
def test_positions_of_extremes(name: str, drawn) -> None:
    array, axis, keepdims = drawn
    axis = axis[0] if isinstance(axis, tuple) and axis else axis if isinstance(axis, int) else None
    result = getattr(tg.tensor(array.round()), name)(axis=axis, keepdims=keepdims)
    assert_close(result, np.asarray(getattr(array.round(), name)(axis=axis, keepdims=keepdims)))
    assert result.dtype == np.int64


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "logsumexp"])
@pytest.mark.parametrize(("shape", "axis"), [((0,), None), ((0, 3), None), ((2, 0), 1), ((0, 2), 0), ((2, 0, 3), -2)])
def test_no_extreme_of_nothing(name: str, shape: tuple[int, ...], axis: int | None) -> None:
    with pytest.raises(ShapeError, match=rf"^in {name}: expected at least one element.+, got shape"):
        getattr(tg.zeros(*shape), name)(axis=axis)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "logsumexp"])
def test_extremes_along_an_axis_that_is_there(name: str) -> None:
    assert getattr(tg.zeros(0, 3), name)(axis=1).shape == (0,)
    assert getattr(tg.zeros(2, 0, 3), name)(axis=2, keepdims=True).shape == (2, 0, 1)


@pytest.mark.parametrize("axis", [2, -3, (0, 2), (0, 0), (0, -2), 1.0, "0", (0.5,), True, [0, [1]]], ids=repr)
@pytest.mark.parametrize("name", [*NAMES, "logsumexp"])
def test_wrong_axes(name: str, axis) -> None:
    with pytest.raises((ShapeError, DTypeError), match=rf"^in {name}: expected .+, got "):
        getattr(tg.zeros(2, 3), name)(axis=axis)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [2, -3, (0, 1), 0.0, "0"], ids=repr)
def test_wrong_axis_of_positions(name: str, axis) -> None:
    with pytest.raises((ShapeError, DTypeError), match=rf"^in {name}: expected .+, got "):
        getattr(tg.zeros(2, 3), name)(axis=axis)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float32"])
def test_dtypes(dtype: str) -> None:
    array = np.array([[1, 0, 1], [1, 1, 1]]).astype(dtype)
    x = tg.tensor(array)
    floating = dtype if dtype.startswith("float") else "float32"
    for name in ("mean", "var", "std", "logsumexp"):
        assert getattr(x, name)().dtype == np.dtype(floating)
    assert x.sum().dtype == array.sum().dtype
    assert x.max().dtype == x.min().dtype == array.dtype
    assert x.any().dtype == x.all().dtype == np.bool_
    assert x.mean().item() == pytest.approx(5 / 6, rel=1e-3)


def test_a_sum_over_no_axes_is_a_copy() -> None:
    x = tg.ones(2, 2)
    y = x.sum(axis=())
    assert y.tolist() == x.tolist()
    assert not shares_memory(x, y)


def test_small_variance_beside_a_large_mean() -> None:
    values = (10_000.0 + np.random.default_rng(0).standard_normal(10_000)).astype("float32")
    assert tg.tensor(values).var().item() == pytest.approx(values.astype("float64").var(), rel=1e-4)
