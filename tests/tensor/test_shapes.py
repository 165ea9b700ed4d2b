"""Changing shapes and joining: what they refuse, and what they share."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from memory import shares_memory

import tinygrad_bn as tg
from tinygrad_bn.errors import ArgumentError, DTypeError

X = tg.tensor(np.arange(24.0).reshape(2, 3, 4))

WRONG = {
    "reshape": [
        lambda: X.reshape(5, 5),
        lambda: X.reshape(-1, -1),
        lambda: X.reshape(-1, 5),
        lambda: X.reshape(-2, 12),
        lambda: X.reshape(2.0, 12),
        lambda: X.reshape("ab"),
        lambda: X.reshape(None),
        lambda: X.reshape(),
        lambda: X.reshape(-1, 0),
        lambda: tg.zeros(0, 3).reshape(-1, 0),
        lambda: X.reshape(24, True),
    ],
    "transpose": [
        lambda: X.transpose(0, 1),
        lambda: X.transpose(0, 1, 1),
        lambda: X.transpose(0, 1, 3),
        lambda: X.transpose(0.0, 1, 2),
        lambda: X.transpose(()),
        lambda: X.transpose(None),
        lambda: X.permute(0, 1),
    ],
    "swapaxes": [lambda: X.swapaxes(0, 3), lambda: X.swapaxes("a", 0)],
    "flatten": [lambda: X.flatten(2, 1), lambda: X.flatten(3), lambda: X.flatten(0, "a")],
    "squeeze": [lambda: X.squeeze(0), lambda: X.squeeze(5), lambda: tg.zeros(1, 1).squeeze((0, 0))],
    "unsqueeze": [lambda: X.unsqueeze(4), lambda: X.unsqueeze(-5), lambda: X.unsqueeze(None)],
    "broadcast_to": [lambda: X.broadcast_to(3, 4), lambda: X.broadcast_to(2, 3, 5), lambda: X.broadcast_to(-1, 3, 4)],
    "expand": [lambda: X.expand(-1, 2, 3, 4), lambda: X.expand(2, 4), lambda: X.expand(2, 3, 0, 4)],
    "pad": [
        lambda: X.pad(-1),
        lambda: X.pad((1, 2, 3)),
        lambda: X.pad(0.5),
        lambda: X.pad("a"),
        lambda: X.pad(None),
        lambda: X.pad([(1, 1), (2,)]),
        lambda: X.pad(((1, 1), (1, 1))),
        lambda: X.pad(1, "a"),
        lambda: X.pad(1, None),
    ],
    "split": [
        lambda: X.split(2, axis=1),
        lambda: X.split(0),
        lambda: X.split(-1),
        lambda: X.split(1.5),
        lambda: X.split([0.5]),
        lambda: X.split(2, axis=3),
        lambda: X.split("a"),
        lambda: X.split(None),
    ],
    "concatenate": [
        lambda: tg.concatenate([]),
        lambda: tg.concatenate([X, X[0]]),
        lambda: tg.concatenate([X, X[:, :2]]),
        lambda: tg.concatenate([X, X], axis=3),
        lambda: tg.concatenate([X, X.numpy()]),
        lambda: tg.concatenate([tg.tensor(1.0), tg.tensor(2.0)]),
        lambda: tg.concatenate(3),
        lambda: tg.concatenate([1.0, 2.0]),
        lambda: tg.concatenate(None),
    ],
    "stack": [
        lambda: tg.stack([]),
        lambda: tg.stack([X, X[0]]),
        lambda: tg.stack([X, X], axis=4),
        lambda: tg.stack([X, 1.0]),
        lambda: tg.stack(1),
    ],
}


@pytest.mark.parametrize(
    ("name", "call"), [pytest.param(n, c, id=f"{n}-{i}") for n, cs in WRONG.items() for i, c in enumerate(cs)]
)
def test_wrong_calls(name: str, call) -> None:
    with pytest.raises((ArgumentError, DTypeError), match=rf"^in {name}: expected .+, got \S"):
        call()


@given(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4), st.randoms(use_true_random=False))
def test_transposing_there_and_back(shape: tuple[int, ...], random) -> None:
    array = np.arange(float(math.prod(shape))).reshape(shape)
    axes = list(range(len(shape)))
    random.shuffle(axes)
    x = tg.tensor(array, requires_grad=True)
    y = x.transpose(axes)
    np.testing.assert_array_equal(y.numpy(), array.transpose(axes))
    assert shares_memory(x, y) or array.size == 0
    (y * array.transpose(axes)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), array)


@given(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
def test_reshaping_follows_numpy(shape: tuple[int, ...]) -> None:
    array = np.arange(float(math.prod(shape))).reshape(shape)
    for wanted in ((-1,), array.T.shape, (1, *shape, 1), (array.size,)):
        if wanted == (-1,) or -1 not in wanted:
            np.testing.assert_array_equal(tg.tensor(array).reshape(wanted).numpy(), array.reshape(wanted))
            np.testing.assert_array_equal(tg.tensor(array.T).reshape(*wanted).numpy(), array.T.reshape(wanted))
    np.testing.assert_array_equal(tg.tensor(array).flatten().numpy(), array.ravel())


def test_forms_of_the_same_call() -> None:
    for y in (X.reshape(6, 4), X.reshape((6, 4)), X.reshape([6, 4]), X.reshape(6, -1), X.reshape(np.int64(6), 4)):
        assert y.shape == (6, 4)
    for y in (X.transpose(), X.T, X.transpose(2, 1, 0), X.transpose((2, 1, 0)), X.permute(-1, 1, 0)):
        assert y.shape == (4, 3, 2)
    assert X.flatten(1).shape == (2, 12)
    assert X.flatten(0, 1).shape == (6, 4)
    assert tg.tensor(1.0).flatten().shape == (1,)
    y = tg.zeros(1, 3, 1)
    assert y.squeeze().shape == (3,)
    assert y.squeeze(0).shape == y.squeeze(-3).shape == (3, 1)
    assert y.squeeze((0, 2)).shape == (3,)
    assert [X.unsqueeze(d).shape.index(1) for d in (0, 1, -1)] == [0, 1, 3]
    assert tg.zeros(3, 1).expand(2, -1, 4).shape == (2, 3, 4)
    assert tg.zeros(3, 1).expand(3, 0).shape == (3, 0)
    assert X.broadcast_to(2, 3, 4) is X


def test_views_share_memory() -> None:
    for y in (
        X.reshape(6, 4),
        X.T,
        X.squeeze(),
        X.unsqueeze(0),
        X.expand(5, 2, 3, 4),
        X.detach(),
        X.alias(),
        X.split(2)[0],
    ):
        assert shares_memory(y, X)
    for y in (X.copy(), X.pad(0), X + 0.0, tg.concatenate([X]), X.astype("float32")):
        assert not shares_memory(y, X)


def test_split_is_numpys() -> None:
    array = X.numpy()
    for sections, axis in ((2, 0), (3, 1), (1, 2), ([1], 1), ([1, 3], 2), ([2, 1], 2), ([0, 9], 1), ([-1], 2), ((), 0)):
        ours, expected = X.split(sections, axis=axis), np.split(array, sections, axis=axis)
        assert len(ours) == len(expected)
        for a, b in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)


def test_pad_widths() -> None:
    for widths in (1, (1, 2), ((0, 1), (2, 0), (1, 1)), np.array([[0, 1], [2, 0], [1, 1]])):
        expected = np.pad(X.numpy(), widths, constant_values=5.0)
        np.testing.assert_array_equal(X.pad(widths, 5.0).numpy(), expected)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("float32", "float32"), "float32"),
        (("float32", "float64"), "float64"),
        (("float32", "int64"), "float32"),
        (("float16", "bool"), "float16"),
        (("int32", "int64"), "int64"),
        (("bool", "uint8"), "uint8"),
    ],
)
def test_joining_dtypes(dtypes: tuple[str, str], expected: str) -> None:
    parts = [tg.zeros(2, dtype=d) for d in dtypes]
    assert tg.concatenate(parts).dtype == np.dtype(expected)
    assert tg.stack(parts).dtype == np.dtype(expected)


def test_gradients_of_joined_parts_have_their_own_dtypes() -> None:
    a = tg.ones(2, dtype="float16", requires_grad=True)
    b = tg.ones(2, dtype="float64", requires_grad=True)
    tg.concatenate([a, b, tg.arange(2)]).sum().backward()
    assert a.grad.dtype == np.float16
    assert b.grad.dtype == np.float64


def test_joining_takes_any_iterable() -> None:
    assert tg.stack(x for x in X).shape == X.shape
    assert tg.concatenate((X, X), axis=-1).shape == (2, 3, 8)
    assert tg.stack([tg.tensor(1.0), tg.tensor(2.0)]).tolist() == [1.0, 2.0]
    assert tg.concatenate(X).shape == (6, 4)


def test_empty_tensors_go_through_everything() -> None:
    x = tg.zeros(0, 3, requires_grad=True)
    y = tg.concatenate([(x * 2.0 + 1.0).exp(), x.reshape(3, 0).T, x @ tg.ones(3, 3)]).pad(((0, 0), (0, 1)))
    assert y.shape == (0, 4)
    y.sum().backward()
    assert x.grad.shape == (0, 3)
