"""Reading and writing parts of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, integer_array_indices
from memory import shares_memory

import tinygrad_bn as tg
from tinygrad_bn.errors import GraphError, OutOfBoundsError, TinygradBNError


def _check(array: np.ndarray, index: Any, ours: Any = None) -> None:
    """Value as NumPy's; gradient as the sum over all places that name an element."""
    x = tg.tensor(array, requires_grad=True)
    y = x[index if ours is None else ours]
    np.testing.assert_array_equal(y.numpy(), array[index])
    start = np.asarray(np.random.default_rng(0).standard_normal(y.shape))
    y.backward(start)
    expected = np.zeros_like(array)
    np.add.at(expected, index, start)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12, atol=1e-12)


@given(st.data(), array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
def test_basic_indices(data, shape) -> None:
    array = np.random.default_rng(0).standard_normal(shape)
    _check(array, data.draw(basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)))


@given(st.data(), array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
def test_arrays_of_integers_with_repeats(data, shape) -> None:
    array = np.random.default_rng(0).standard_normal(shape)
    index = data.draw(integer_array_indices(shape))
    _check(array, index)
    _check(array, index, tuple(tg.tensor(part) for part in index))
    _check(array, index, tuple(part.tolist() for part in index))


@given(st.integers(0, 1000), st.integers(1, 3))
def test_masks(seed: int, axes: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.standard_normal((3, 2, 4))
    mask = rng.random(array.shape[:axes]) < 0.5
    _check(array, mask)
    _check(array, mask, tg.tensor(mask))
    _check(array, (mask, Ellipsis), (tg.tensor(mask), Ellipsis))


@pytest.mark.parametrize(
    "index",
    [
        (slice(None), None, [0, 0]),
        ([0, 2], slice(None), [1, 0]),
        ([[0], [2]], [[0, 1]]),
        (Ellipsis, [0, 0, 3], None),
        (2, [1, 1, 0]),
        (np.int64(1), slice(None, None, -1)),
        True,
        False,
        np.True_,
        (slice(5, 1), 0),
        (),
        Ellipsis,
        [],
        np.zeros((0, 2), dtype="int64"),
        ([True, False, True], 1),
    ],
    ids=str,
)
def test_mixtures(index: Any) -> None:
    _check(np.random.default_rng(0).standard_normal((3, 2, 4)), index)


def test_an_index_that_changes_afterwards_does_not_move_the_gradient() -> None:
    for make in (np.array, tg.tensor, list):
        x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        index = make([0, 0]) if make is not tg.tensor else tg.tensor([0, 0], dtype="int64")
        y = x[index]
        index[0] = index[1] = 2
        y.sum().backward()
        assert x.grad.tolist() == [2.0, 0.0, 0.0]


def test_a_slice_is_a_view_and_a_list_a_copy() -> None:
    x = tg.zeros(3, 3)
    assert shares_memory(x[1:], x)
    assert shares_memory(x[::-1, 0], x)
    assert not shares_memory(x[[0, 1]], x)


def test_iteration_and_membership() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    rows = list(x)
    assert [r.tolist() for r in rows] == [[1.0, 2.0], [3.0, 4.0]]
    rows[1].sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, 1.0]]
    a, b = x
    assert a.shape == b.shape == (2,)


@pytest.mark.parametrize(
    "index",
    [
        3,
        -4,
        (0, 4),
        (0, 0, 0),
        1.0,
        "a",
        np.array([0.5]),
        tg.tensor([0.0]),
        tg.ones(3) / 2,
        [0, 3],
        [-4],
        np.array([True, False]),
        ([0, 1], [0, 1, 2]),
        (Ellipsis, Ellipsis),
        slice(None, None, 0),
        slice("a", None),
        [[0, 1], [2]],
        {0: 1},
        1j,
        [None, 0],
        ["a"],
        type,
    ],
    ids=str,
)
def test_wrong_indices(index: Any) -> None:
    x = tg.zeros(3, 4)
    with pytest.raises(OutOfBoundsError, match=r"^in indexing: expected .+, got "):
        x[index]
    with pytest.raises(OutOfBoundsError, match=r"^in assignment to elements: expected .+, got |^in indexing: "):
        x[index] = 1.0
    assert (x.numpy() == 0).all()
    assert x.version.count == 0


def test_writing() -> None:
    x = tg.zeros(2, 3)
    x[0] = 1.0
    x[1, 1:] = tg.tensor([2.0, 3.0])
    x[1, 0] = np.array(4)
    assert x.tolist() == [[1.0, 1.0, 1.0], [4.0, 2.0, 3.0]]
    x[x > 2.5] = 0.0
    x[[0, 1], [0, 1]] = [7, 8]
    assert x.tolist() == [[7.0, 1.0, 1.0], [0.0, 8.0, 0.0]]
    x[...] = np.arange(3)
    assert x.tolist() == [[0.0, 1.0, 2.0]] * 2
    assert x.dtype == np.float32
    x[:, ::-1] = x
    assert x.tolist() == [[2.0, 1.0, 0.0]] * 2
    assert x.assign_([5, 6, 7]) is x
    assert x.tolist() == [[5.0, 6.0, 7.0]] * 2


@pytest.mark.parametrize(
    "values", [[1.0, 2.0], np.ones((2, 2)), tg.ones(3, 3), "a", None, [None] * 3, 1j, [1j] * 3, [[1], [2, 3]]]
)
def test_wrong_values(values: Any) -> None:
    x = tg.zeros(2, 3)
    for write in (lambda: x.__setitem__(0, values), lambda: x.assign_(values)):
        with pytest.raises(TinygradBNError, match=r"^in .+: expected .+, got "):
            write()
    assert (x.numpy() == 0).all()
    assert x.version.count == 0


def test_writing_into_what_requires_grad() -> None:
    x = tg.ones(3, requires_grad=True)
    y = x * 2.0
    for target in (x, y):
        with pytest.raises(GraphError, match=r"assignment to elements: expected .+no_grad"):
            target[0] = 1.0
        with pytest.raises(GraphError, match="assign_"):
            target.assign_(1.0)
    with tg.no_grad():
        x[0] = 5.0
        x.assign_(x * 2.0)
    assert x.tolist() == [10.0, 2.0, 2.0]


def test_writing_what_requires_grad_would_lose_its_gradient() -> None:
    x, w = tg.zeros(3), tg.ones(1, requires_grad=True)
    with pytest.raises(GraphError, match=r"detach\(\)"):
        x[0] = w
    with pytest.raises(GraphError, match=r"detach\(\)"):
        x.assign_(w)
    assert x.tolist() == [0.0, 0.0, 0.0]
    x[:1] = w.detach()
    with tg.no_grad():
        x[1:2] = w
    assert x.tolist() == [1.0, 1.0, 0.0]


def test_read_only_memory_is_not_written() -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    for x in (tg.from_numpy(array), tg.zeros(1).broadcast_to(3)):
        with pytest.raises(TinygradBNError, match="read-only"):
            x[0] = 1.0
        assert x.version.count == 0
    assert (array == 0).all()


def test_gradient_of_many_repeats_is_exact() -> None:
    rng = np.random.default_rng(0)
    index = rng.integers(0, 50, 10_000)
    x, reference = tg.randn(50, 3, requires_grad=True), torch.zeros(50, 3, requires_grad=True)
    start = rng.standard_normal((10_000, 3)).astype("float32")
    x[index].backward(start)
    reference[torch.tensor(index)].backward(torch.tensor(start))
    np.testing.assert_allclose(x.grad.numpy(), reference.grad.numpy(), rtol=1e-3, atol=1e-3)
