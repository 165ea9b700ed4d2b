"""Mistakes that small autograd engines have been known to make, one test each."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.autograd import Node
from tinygrad_bn.errors import GraphError


def test_backward_twice_is_an_error_not_a_doubled_gradient() -> None:
    x = tg.tensor([3.0], requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(GraphError, match="retain_graph=True"):
        y.backward()
    assert x.grad.item() == 6.0


def test_a_diamond_counts_each_path_once() -> None:
    """2 ** 1000 paths; a walk along paths would never end, one in the wrong order would lose some."""
    x = tg.tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for _ in range(1000):
        left, right = y * 0.5, y * 0.5
        y = left + right
    y.backward()
    assert x.grad.item() == pytest.approx(1.0)


def test_an_uneven_diamond_waits_for_the_longer_side() -> None:
    x = tg.tensor(2.0, requires_grad=True)
    a = x * 3.0
    b = a
    for _ in range(10):
        b = b * 1.0
    (a * b).backward()
    assert x.grad.item() == 36.0


def test_a_deep_chain_needs_no_recursion() -> None:
    x = tg.tensor(0.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1e-5
    y.backward()
    assert x.grad.item() == 1.0


def test_no_graph_leaks_out_of_a_training_step() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(32, 3))
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(tg.randn(4, 1, 6, 6)), tg.tensor([0, 1, 2, 0], dtype="int64"))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            del loss
            assert sum(type(o) is Node for o in gc.get_objects()) == 0
    finally:
        gc.enable()


def test_a_saved_value_changed_in_place_is_noticed() -> None:
    x, w = tg.tensor([2.0]), tg.tensor([3.0], requires_grad=True)
    y = x * w
    x[0] = 100.0
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 1), (1, 4)),
        ((1,), (3,)),
        ((), (2, 3)),
        ((1, 1), (1, 1)),
        ((2, 1, 3), (3,)),
        ((1, 3), (3,)),
        ((1, 0), (2, 1)),
    ],
)
def test_broadcast_axes_of_length_1_are_summed_and_kept(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = tg.ones(*a, requires_grad=True), tg.ones(*b, requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.shape == a
    assert y.grad.shape == b
    count = np.broadcast(np.ones(a), np.ones(b)).size
    assert x.grad.numpy().sum() == y.grad.numpy().sum() == count


def test_tensors_without_axes_stay_arrays() -> None:
    x = tg.tensor(2.0, requires_grad=True)
    for y in (x * x, x.exp(), x.sum(), x.reshape(()), -x, x.max(), F.relu(x), x.unsqueeze(0).mean(), x[()], x[...]):
        assert isinstance(y.data, y.device.array_type)
        assert y.shape == ()
        (slope,) = tg.grad(y, x)
        assert isinstance(slope.data, slope.device.array_type)
        assert slope.shape == ()


def test_empty_batches_go_through_a_network() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    ).eval()
    y = model(tg.zeros(0, 3, 4, 4))
    assert y.shape == (0, 2)
    y.sum().backward()
    assert all((p.grad.numpy() == 0).all() for p in model.parameters())


def test_transposed_and_reversed_memory_gives_the_same() -> None:
    values = np.random.default_rng(0).standard_normal((2, 3, 6, 6))
    weight = np.random.default_rng(1).standard_normal((4, 3, 3, 3))
    expected = torch.nn.functional.conv2d(torch.tensor(values), torch.tensor(weight)).numpy()
    device = tg.get_default_device()
    for x in (
        np.ascontiguousarray(values.transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0),
        np.ascontiguousarray(values[:, ::-1, ::-1])[:, ::-1, ::-1],
        np.repeat(values, 2, axis=3)[..., ::2],
    ):
        assert not x.flags.c_contiguous
        found = F.conv2d(tg.from_numpy(x).to(device), tg.tensor(weight))
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_float16_sums_and_products_do_not_overflow_on_the_way() -> None:
    x = tg.full((1000,), 100.0, dtype="float16")
    assert x.mean().item() == 100.0
    assert (x @ (x / 1e4).astype("float16")).item() == pytest.approx(1000.0, rel=1e-2)
    large = tg.tensor([60000.0, 0.0], dtype="float16", requires_grad=True)
    F.cross_entropy(large.reshape(1, 2), tg.tensor([1], dtype="int64")).backward()
    assert large.grad.tolist() == [1.0, -1.0]


def test_a_python_float_does_not_widen() -> None:
    x = tg.ones(2, requires_grad=True)
    y = (2.0 * x + np.float64(1.0)) / 3.0 - 1
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float32


def test_only_one_of_equal_maxima_takes_the_gradient() -> None:
    x = tg.ones(2, 2, requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [[1.0, 0.0], [0.0, 0.0]]
