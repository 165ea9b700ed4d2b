"""Everything on a device that is not the CPU, without a GPU: nothing may go around the device's array module."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
from cases import EVERYTHING, Case
from compare import assert_close, cast
from stand_in import StandInArray, stand_in_device

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.backend import Device, device, device_of, register_device
from tinygrad_bn.errors import DeviceError
from tinygrad_bn.kernels import Kernels

pytestmark = pytest.mark.cpu_only("has a device of its own beside the CPU")


@pytest.fixture(autouse=True, scope="module")
def _device() -> Iterator[Device]:
    made = stand_in_device()
    register_device(made)
    yield made
    del device._devices[made.name]


@pytest.fixture(autouse=True)
def _reference_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code on both devices, so that results are equal to the last bit."""
    cpu = device.get_device("cpu")
    monkeypatch.setattr(cpu, "kernels", Kernels(cpu))


def _run(case: Case, arrays: list[np.ndarray], where: str, create_graph: bool) -> list[np.ndarray]:
    inputs = [tg.tensor(a, device=where, requires_grad=a.dtype.kind == "f") for a in arrays]
    varied = [x for x in inputs if x.requires_grad]
    output = case.ours(*inputs)
    assert str(output.device) == where
    start = np.asarray(np.random.default_rng(1).standard_normal(output.shape)).astype(output.dtype)
    found = tg.grad(output, varied, start, create_graph=create_graph, allow_unused=True)
    results = [output, *(g for g in found if g is not None)]
    if create_graph:
        differentiable = [(g * g).sum() for g in found if g is not None and g.requires_grad]
        if differentiable:
            results += [g for g in tg.grad(differentiable, varied, allow_unused=True) if g is not None]
    for result in results:
        assert type(result.data) is (StandInArray if where == "stand_in" else np.ndarray)
    return [r.numpy() for r in results]


@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.parametrize("case", EVERYTHING, ids=repr)
def test_the_same_results_as_on_the_cpu(case: Case, dtype: str) -> None:
    """Values, gradients and gradients of gradients."""
    arrays = cast(case.draw(), dtype)
    for create_graph in (False, True):
        expected = _run(case, arrays, "cpu", create_graph)
        found = _run(case, arrays, "stand_in", create_graph)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def _small_network(where: str) -> list[np.ndarray]:
    tg.manual_seed(0)
    weights = [
        tg.randn(4, 2, 3, 3, device=where),
        tg.ones(4, device=where),
        tg.zeros(4, device=where),
        tg.randn(3, 16, device=where),
        tg.zeros(3, device=where),
    ]
    for w in weights:
        w.requires_grad_()
    mean, variance = tg.zeros(4, device=where), tg.ones(4, device=where)
    x = tg.randn(6, 2, 4, 4, device=where)
    labels = tg.tensor([0, 1, 2, 0, 1, 2], dtype="int64", device=where)
    for _ in range(3):
        y = F.conv2d(x, weights[0], padding="same")
        y = F.batch_norm(y, mean, variance, weights[1], weights[2], training=True)
        y = F.max_pool2d(F.dropout(F.gelu(y), 0.2), 2)
        y = F.linear(y.flatten(1), weights[3], weights[4])
        loss = F.cross_entropy(y, labels, label_smoothing=0.1)
        loss.backward()
        with tg.no_grad():
            for w in weights:
                w.assign_(w - 0.1 * w.grad)
                w.grad = None
    return [t.numpy() for t in (*weights, mean, variance, loss)]


def test_a_small_network_trains_to_the_same_numbers() -> None:
    for a, b in zip(_small_network("stand_in"), _small_network("cpu"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_functions_without_gradient() -> None:
    for where in ("cpu", "stand_in"):
        x = tg.tensor([[1.0, -2.0], [3.0, -2.0]], device=where)
        labels = tg.tensor([0, 2], dtype="int64", device=where)
        assert F.one_hot(labels, 3).tolist() == [[1, 0, 0], [0, 0, 1]]
        assert F.one_hot(labels).shape == (2, 3)
        assert x.argmax().item() == 2
        assert x.argmin(1).tolist() == [1, 1]
        assert (x > 0).any().item() is True
        assert (x // 2.0).tolist() == [[0.0, -1.0], [1.0, -1.0]]
        assert x.sign().floor().ceil().round().isfinite().all().item() is True
        assert (~(x > 0) & (x < -1)).tolist() == [[False, True], [False, True]]
        _, indices = F.max_pool2d(x.reshape(1, 1, 2, 2), 2, return_indices=True)
        assert indices.item() == 2
        tg.manual_seed(1)
        assert F.rrelu(x, training=True).shape == F.dropout(x).shape == (2, 2)
        assert tg.arange(3, device=where).tolist() == [0, 1, 2]
        assert tg.eye(2, device=where).tolist() == [[1.0, 0.0], [0.0, 1.0]]
        assert tg.ones_like(x).tolist() == [[1.0, 1.0]] * 2
        for y in (F.softplus(x), F.pad(x, (1, 1), "reflect"), tg.rand(2, 2, device=where)):
            assert str(y.device) == where


def test_reading_and_writing() -> None:
    x = tg.zeros(3, 2, device="stand_in")
    x[0] = 1.0
    x[1:, 0] = [2.0, 3.0]
    x[[1, 2], 1] = np.array([4.0, 5.0])
    x[x > 4.5] = tg.tensor(6.0, device="stand_in")
    x[0, 0] = tg.tensor(7.0)  # of another device: moved
    assert x.tolist() == [[7.0, 1.0], [2.0, 4.0], [3.0, 6.0]]
    assert x[np.array([0, 0])].tolist() == [[7.0, 1.0]] * 2
    assert x[tg.tensor([2], dtype="int64", device="stand_in")].tolist() == [[3.0, 6.0]]
    assert x.assign_(np.ones((3, 2))).tolist() == [[1.0, 1.0]] * 3
    assert "device=stand_in" in repr(x)
    assert len(x) == 3
    assert bool(x[0, 0])
    assert np.asarray(x).tolist() == x.tolist()
    assert device_of(x.data).name == "stand_in"
    assert tg.from_array(x.data).data is x.data
    assert tg.tensor(x).device is x.device
    assert tg.tensor(x.data).device is x.device


def test_copies_stay_on_the_device() -> None:
    x = tg.ones(2, device="stand_in", requires_grad=True)
    y = copy.deepcopy(x)
    assert y.device is x.device
    assert y.requires_grad


def test_moving_carries_the_gradient_back() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x.to("stand_in")
    assert not y.is_leaf
    (y * y).sum().to("cpu").backward()
    assert str(x.grad.device) == "cpu"
    assert x.grad.tolist() == [2.0, 4.0]
    (slope,) = tg.grad((x.to("stand_in") ** 3).sum(), x, create_graph=True)
    (curvature,) = tg.grad(slope.sum(), x)
    assert curvature.tolist() == [6.0, 12.0]


def test_hooks_functions_and_starting_gradients_on_the_device() -> None:
    x = tg.ones(2, device="stand_in", requires_grad=True)
    x.register_hook(lambda g: g * 2.0)
    (x * 3.0).backward(np.array([1.0, 2.0]))
    assert x.grad.tolist() == [6.0, 12.0]
    x.grad = None
    (x * 3.0).backward(tg.ones(2, device="stand_in").data)
    assert x.grad.tolist() == [6.0, 6.0]


MIXED = [
    lambda a, b: a + b,
    lambda a, b: b * a,
    lambda a, b: a < b,
    lambda a, b: a + np.ones((2, 2), dtype="float32") if str(a.device) != "cpu" else b + np.ones((2, 2)),
    lambda a, b: a @ b,
    lambda a, b: tg.concatenate([a, b]),
    lambda a, b: tg.stack([b, a]),
    lambda a, b: tg.where(a > 0, b, 0.0),
    lambda a, b: tg.maximum(a, b),
    lambda a, b: F.linear(a, b),
    lambda a, b: F.prelu(a, b[0, :1]),
    lambda a, b: F.conv2d(a.reshape(1, 1, 2, 2), b.reshape(1, 1, 2, 2)),
    lambda a, b: F.batch_norm(a, b[0], b[0] * 0 + 1, training=False),
    lambda a, b: F.batch_norm(a, b[0], b[0], training=True),
    lambda a, b: F.mse_loss(a, b),
    lambda a, b: F.conv_transpose2d(a.reshape(1, 1, 2, 2), b.reshape(1, 1, 2, 2)),
    lambda a, b: F.cross_entropy(a, b),
    lambda a, b: F.cross_entropy(a, tg.zeros(2, dtype="int64", device=b.device)),
    lambda a, b: F.cross_entropy(a, tg.zeros(2, dtype="int64", device=a.device), b[0]),
    lambda a, b: F.nll_loss(a, tg.zeros(2, dtype="int64", device=b.device)),
    lambda a, b: a[tg.zeros(1, dtype="int64", device=b.device)],
    lambda a, b: a.requires_grad_().backward(b),
]


@pytest.mark.parametrize("call", MIXED)
@pytest.mark.parametrize("swapped", [False, True])
def test_operands_of_two_devices(call, swapped: bool) -> None:
    a, b = tg.ones(2, 2), tg.ones(2, 2, device="stand_in")
    with pytest.raises(DeviceError, match=r"^in [\w ]+: expected .*(cpu|stand_in|one device).*, got .*(cpu|stand_in)"):
        call(b, a) if swapped else call(a, b)
    assert a.tolist() == b.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_the_stand_in_is_as_strict_as_it_should_be() -> None:
    xp, x = stand_in_device().xp, tg.ones(2, device="stand_in").data
    for call in (
        lambda: np.asarray(x),
        lambda: np.exp(x),
        lambda: x + np.ones(2),
        lambda: np.ones(2) + x,
        lambda: xp.exp(np.ones(2)),
        lambda: xp.concatenate([x, np.ones(2)]),
        lambda: x.__setitem__(0, np.ones(1)),
        lambda: x[np.array([0])],
        lambda: np.matmul(x, x),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(AttributeError, match="CuPy might not have"):
        xp.errstate  # noqa: B018
    assert_close(np.asarray(xp.exp(x)._host), np.exp(np.ones(2, dtype="float32")))
