"""Operators: dtypes, broadcasting, reflected forms, NumPy on the other side, and refusals."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from compare import assert_close, compare_with_torch, torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import tinygrad_bn as tg
from tinygrad_bn.errors import ArgumentError, DTypeError, ShapeError, TinygradBNError

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
DTYPES = ["float16", "float32", "float64", "int32", "int64", "uint8", "bool"]


@pytest.mark.parametrize("function", [*ARITHMETIC, *COMPARISONS], ids=lambda f: f.__name__)
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0), st.integers(0, 100))
def test_broadcasting_against_torch(function, shapes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.choice([0.5, 1.0, 1.5, 2.0, 3.25], size=s) for s in shapes.input_shapes)
    if function is operator.floordiv:  # torch has no gradient, and neither have we
        assert_close(function(tg.tensor(a), tg.tensor(b)), function(torch.tensor(a), torch.tensor(b)))
        return
    compare_with_torch(function, function, [a, b])


@pytest.mark.parametrize("function", [operator.and_, operator.or_, operator.xor], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["bool", "int64", "uint8"])
def test_bitwise(function, dtype: str) -> None:
    a, b = np.array([0, 1, 1, 0]).astype(dtype), np.array([[0], [1]]).astype(dtype)
    for x, y in ((tg.tensor(a), tg.tensor(b)), (tg.tensor(a), b), (a, tg.tensor(b))):
        assert_close(function(x, y), function(a, b))
    one = True if dtype == "bool" else 1
    assert_close(function(tg.tensor(a), one), function(a, one))
    assert_close(function(one, tg.tensor(a)), function(one, a))
    assert_close(~tg.tensor(a), ~a)


@pytest.mark.parametrize(
    "number",
    [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(2), np.float16(2)],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("function", ARITHMETIC, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_are_weak(number: Any, function, dtype: str) -> None:
    """A number on either side takes the tensor's dtype, also if it is one of NumPy's."""
    array = np.array([[0.5, 1.0], [1.5, 3.0]], dtype=dtype)
    x = tg.tensor(array, requires_grad=True)
    plain = number.item() if isinstance(number, np.generic) else number
    for ours, expected in (
        (function(x, number), function(array, plain)),
        (function(number, x), function(plain, array)),
    ):
        assert_close(ours, expected)
        assert ours.dtype == np.dtype(dtype)
        if ours.requires_grad:
            (slope,) = tg.grad(ours.sum(), x)
            assert slope.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    "function", [operator.add, operator.mul, operator.truediv, operator.lt], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("second", DTYPES)
def test_dtypes_of_two_tensors(function, first: str, second: str) -> None:
    """torch's rule where a float meets an integer, NumPy's between floats and between integers."""
    a, b = np.array([[1], [0]]).astype(first), np.array([1, 1, 0]).astype(second)
    result = function(tg.tensor(a), tg.tensor(b))
    if function is operator.lt:
        assert result.dtype == np.bool_
        return
    floats = [np.dtype(d) for d in (first, second) if np.dtype(d).kind == "f"]
    if floats:
        assert result.dtype == np.result_type(*floats)
    elif function is operator.truediv:
        assert result.dtype == np.float32
    else:
        assert result.dtype == np.result_type(first, second)
    expected = function(torch.tensor(a), torch.tensor(b))
    np.testing.assert_allclose(result.numpy().astype("f8"), expected.numpy().astype("f8"), rtol=1e-3)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_with_fractions_become_float32(dtype: str) -> None:
    x = tg.tensor(np.array([0, 1]).astype(dtype))
    for result in (x + 0.5, 0.5 + x, x * 2.5, x / 2, 2 / x, x**0.5, x % 0.75, x - 0.5):
        assert result.dtype == np.float32
    assert (x + 0.5).tolist() == [0.5, 1.5]


def test_an_integer_tensor_does_not_widen_a_gradient() -> None:
    x = tg.ones(3, requires_grad=True)
    (x * tg.arange(3)).sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("function", ARITHMETIC, ids=lambda f: f.__name__)
def test_arrays_on_either_side(function) -> None:
    a, b = np.array([[0.5, 1.0], [1.5, 3.0]]), np.array([2.0, 3.0])
    x = tg.tensor(a, requires_grad=True)
    for result, expected in ((function(x, b), function(a, b)), (function(b, x), function(b, a))):
        assert isinstance(result, tg.Tensor)
        assert_close(result, expected)
    product = b @ x
    assert isinstance(product, tg.Tensor)
    product.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[2.0, 2.0], [3.0, 3.0]])


def test_augmented_assignment_makes_a_new_tensor() -> None:
    x = y = tg.ones(2)
    y += 1.0
    y *= 3.0
    assert x.tolist() == [1.0, 1.0]
    assert y.tolist() == [6.0, 6.0]


@pytest.mark.parametrize(("a", "b"), [(7.0, 3.0), (-7.0, 3.0), (7.0, -3.0), (-7.0, -3.0), (0.0, 2.0), (5.5, 0.5)])
def test_floor_division_and_remainder_follow_python(a: float, b: float) -> None:
    assert (tg.tensor(a) // b).item() == a // b
    assert (tg.tensor(a) % b).item() == a % b
    assert (a // tg.tensor(b)).item() == a // b
    assert (a % tg.tensor(b)).item() == a % b


def test_division_by_zero_is_infinite_or_nan_and_silent() -> None:
    x = tg.tensor([1.0, -1.0, 0.0])
    np.testing.assert_array_equal((x / 0.0).numpy(), [np.inf, -np.inf, np.nan])
    assert np.isnan((x % 0.0).numpy()).all()
    x // 0.0
    tg.tensor([1, 0], dtype="int64") // 0
    assert (tg.tensor([1, 0], dtype="int64") / 0).dtype == np.float32


@pytest.mark.parametrize(
    ("base", "exponent"),
    [
        ([0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 2.0, 0.0]),
        ([-2.0, -2.0, -1.0], [2.0, 3.0, -1.0]),
        ([1.0, 1.0], [np.inf, -np.inf]),
        ([np.inf, 2.0], [0.0, -np.inf]),
        ([np.nan, 1.0], [0.0, np.nan]),
        ([0.0], [-1.0]),
        ([0.0], [0.5]),
    ],
)
def test_powers_at_the_edges(base: list[float], exponent: list[float]) -> None:
    a, b = np.array(base), np.array(exponent)
    compare_with_torch(lambda x, y: x**y, lambda x, y: x**y, [a, b])
    for number, other in zip(exponent, base, strict=True):
        compare_with_torch(lambda x, n=number: x**n, lambda x, n=number: x**n, [np.array([other, 1.5])])
        compare_with_torch(lambda y, n=other: n**y, lambda y, n=other: n**y, [np.array([number, 1.5])])


def test_powers_of_integers() -> None:
    x = tg.tensor([2, 3], dtype="int64")
    assert (x**3).tolist() == [8, 27]
    assert (x**3).dtype == np.int64
    assert (2**x).tolist() == [4, 8]
    with pytest.raises(ArgumentError, match="in pow: expected"):
        x**-1


@pytest.mark.parametrize("function", [tg.maximum, tg.minimum])
def test_maximum_and_minimum(function) -> None:
    name = function.__name__
    a, b = np.array([1.0, 2.0, 3.0, -1.0]), np.array([2.0, 2.0, 1.0, -1.0])
    compare_with_torch(function, getattr(torch, name), [a, b])
    compare_with_torch(lambda x: function(x, x), lambda x: getattr(torch, name)(x, x), [a])
    for result in (function(tg.tensor(a), 1.5), function(1.5, tg.tensor(a)), function(np.float64(1.5), tg.tensor(a))):
        np.testing.assert_array_equal(result.numpy(), getattr(np, name)(a, 1.5))
    for result in (function(a, tg.tensor(b)), function(tg.tensor(a), b)):
        np.testing.assert_array_equal(result.numpy(), getattr(np, name)(a, b))
    assert np.isnan(function(tg.tensor([np.nan, 1.0]), tg.tensor([1.0, np.nan])).numpy()).all()
    assert function(tg.ones(2), np.float64(2.0)).dtype == np.float32


def test_where() -> None:
    condition = np.array([True, False, True])
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert tg.where(tg.tensor(condition), x, 0.0).tolist() == [1.0, 0.0, 3.0]
    assert tg.where(condition, x, np.float64(0.5)).dtype == np.float32
    assert tg.where(condition, np.zeros(3), x).tolist() == [0.0, 2.0, 0.0]
    assert tg.where(tg.tensor([2.0, 0.0, 1.0]), x, -x).tolist() == [1.0, -2.0, 3.0]
    assert tg.where(tg.tensor(condition), 1.0, 2.0).dtype == np.float32
    assert tg.where(True, x, 0.0).tolist() == x.tolist()
    assert tg.where(tg.tensor(condition), tg.arange(3), 0.5).dtype == np.float32
    assert tg.where(tg.tensor(condition), tg.arange(3), 7).dtype == np.int64
    tg.where(tg.tensor([[True], [False]]), x, 0.0).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_comparisons_give_bools_without_gradient() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for function in COMPARISONS:
        for result in (function(x, 1.5), function(1.5, x), function(x, np.array([1.0, 1.0])), function(np.ones(2), x)):
            assert isinstance(result, tg.Tensor)
            assert result.dtype == np.bool_
            assert not result.requires_grad
    assert (np.float64(1.5) < x).tolist() == [False, True]
    assert (x == None).__class__ is bool  # noqa: E711 - that comparing with None does not fail is the point
    assert x != "text"
    assert x in [x]


SHAPES_THAT_DO_NOT_FIT = [((2, 3), (2,)), ((2, 3), (3, 2)), ((0,), (2,)), ((2, 1, 3), (2, 2))]


@pytest.mark.parametrize("function", [*ARITHMETIC, *COMPARISONS, tg.maximum, tg.minimum], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("a", "b"), SHAPES_THAT_DO_NOT_FIT)
def test_shapes_that_do_not_broadcast(function, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"^in \w+: expected shapes that broadcast together, got .+ and .+") as caught:
        function(tg.zeros(*a), tg.zeros(*b))
    assert str(a) in str(caught.value)
    assert str(b) in str(caught.value)
    with pytest.raises(ShapeError):
        function(tg.zeros(*a), np.zeros(b))
    with pytest.raises(ShapeError):
        tg.where(tg.zeros(*a) > 0, tg.zeros(*b), 0.0)


def test_a_comparison_names_itself() -> None:
    with pytest.raises(ShapeError, match=r"^in less: "):
        tg.zeros(2) < tg.zeros(3)  # noqa: B015
    with pytest.raises(ShapeError, match=r"^in equal: "):
        tg.zeros(2) == tg.zeros(3)  # noqa: B015


@pytest.mark.parametrize(
    "call",
    [
        lambda: tg.ones(2) & tg.ones(2),
        lambda: tg.ones(2) | 1,
        lambda: ~tg.ones(2),
        lambda: -tg.tensor([True]),
        lambda: tg.tensor([True]) - tg.tensor([True]),
        lambda: tg.tensor([1], dtype="uint8") + 300,
        lambda: tg.tensor([1], dtype="int64") * 2**70,
        lambda: tg.ones(2) * 10**400,
        lambda: tg.ones(2) + np.array([1j]),
        lambda: np.array([1j, 1j]) * tg.ones(2),
        lambda: np.array(["a", "b"]) + tg.ones(2),
        lambda: tg.ones(2) + np.array([None, None]),
        lambda: tg.ones(2).maximum("a"),
        lambda: tg.ones(2).maximum(None),
        lambda: tg.ones(2).minimum([1.0, 2.0]),
        lambda: tg.ones(2).arctan2("a"),
        lambda: tg.ones(2).matmul(2.0),
        lambda: tg.ones(2).matmul("a"),
        lambda: tg.maximum(1.0, 2.0),
        lambda: tg.minimum([1.0], 2.0),
        lambda: tg.maximum(tg.ones(2), "a"),
        lambda: tg.where("a", tg.ones(2), 0.0),
        lambda: tg.where(tg.ones(2), "a", 0.0),
        lambda: tg.where(tg.ones(2), None, tg.ones(2)),
        lambda: tg.where(tg.ones(2), [1.0, 2.0], "b"),
    ],
)
def test_operands_without_meaning(call) -> None:
    with pytest.raises(TinygradBNError, match=r"^in \S+: expected .+, got "):
        call()


@pytest.mark.parametrize(
    "other", ["a", None, [1.0, 2.0], (1.0, 2.0), {1: 2}, 1j, object()], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize(
    "function", [*ARITHMETIC, operator.matmul, operator.lt, operator.and_], ids=lambda f: f.__name__
)
def test_python_itself_refuses_what_no_operand_is(function, other: Any) -> None:
    with pytest.raises(TypeError, match=r"Tensor|integer tensor"):
        function(tg.ones(2), other)
    if not (function is operator.mod and isinstance(other, str)):  # which formats a text
        with pytest.raises(TypeError, match=r"Tensor|integer tensor"):
            function(other, tg.ones(2))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (2, 3)),
        ((3,), (2,)),
        ((2, 3), (4,)),
        ((2, 2, 3), (3, 3, 1)),
        ((), (2,)),
        ((2,), ()),
        ((2, 3), (2, 2, 3)),
    ],
)
def test_matrices_that_do_not_fit(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    for call in (
        lambda: tg.zeros(*a) @ tg.zeros(*b),
        lambda: np.zeros(a) @ tg.zeros(*b),
        lambda: tg.zeros(*a) @ np.zeros(b),
    ):
        with pytest.raises(ShapeError, match=r"^in matmul: expected .+, got "):
            call()


def test_matrices_of_integers_and_halves() -> None:
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    assert_close(tg.tensor(a) @ tg.tensor(b), a @ b)
    assert (tg.tensor(a) @ tg.ones(3, 4)).dtype == np.float32
    assert (tg.full((1, 4096), 1.0, dtype="float16") @ tg.full((4096, 1), 1.0, dtype="float16")).item() == 4096.0


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "sign", "isnan", "isfinite", "abs"])
def test_steps(name: str) -> None:
    values = np.array([-1.5, -0.5, 0.0, 0.5, 1.5, 2.5])
    x = tg.tensor(values, requires_grad=True)
    expected = {"round": np.rint, "isnan": np.isnan, "isfinite": np.isfinite}.get(name) or getattr(np, name)
    result = getattr(x, name)()
    assert_close(result, expected(values))
    assert result.requires_grad == (name == "abs")
    whole = tg.tensor([1, 2, 3], dtype="int64")
    if not name.startswith("is"):
        assert getattr(whole, name)().dtype == np.int64


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "tanh", "erf", "rsqrt", "arctan"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_functions_of_integers_are_float32(name: str, dtype: str) -> None:
    x = tg.tensor(np.array([1, 1]).astype(dtype))
    assert getattr(x, name)().dtype == np.float32


def test_clip() -> None:
    x = tg.tensor([1, 5, 9], dtype="int64")
    assert x.clip(2, 7).dtype == np.int64
    assert x.clip(2.5).dtype == np.float32
    assert x.clip(2.5).tolist() == [2.5, 5.0, 9.0]
    y = tg.tensor([1.0, 5.0])
    assert y.clip(np.float64(2.0)).dtype == np.float32
    assert y.clip(high=np.float64(2.0)).tolist() == [1.0, 2.0]
    assert y.clip(3.0, 3.0).tolist() == [3.0, 3.0]
    compare_with_torch(
        lambda t: t.clip(-1.0, 1.0), lambda t: t.clamp(-1.0, 1.0), [np.array([-2.0, -1.0, 0.0, 1.0, 2.0])], second=True
    )
    for arguments in ((), (2.0, 1.0), ("a",), (None, [1.0]), (tg.ones(2), None), (np.nan, 1.0)):
        with pytest.raises((ArgumentError, DTypeError), match=r"^in clip: expected .+, got "):
            y.clip(*arguments)


def test_extreme_values_pass_silently() -> None:
    x = tg.tensor([1e38, -1e38, 1e-45, 0.0, np.inf, np.nan], requires_grad=True)
    for result in (
        x * x,
        x / x,
        x.exp(),
        x.log(),
        x.sqrt(),
        x.rsqrt(),
        x**-3,
        1.0 / x,
        x % x,
        x.arcsin(),
        x.sum(),
        x.var(),
    ):
        tg.grad(result.sum(), x)
