"""Several GPUs in one process: each tensor is computed with on its own, and nothing passes between them unasked.

The emulated GPUs cannot reach each other's memory, so an operation with the wrong one current fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
import pytest
import stand_in

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn, optim
from tinygrad_bn.errors import DeviceError


@pytest.fixture(autouse=True)
def cupy() -> Iterator[ModuleType]:
    with stand_in.emulated_gpu(count=2) as module:
        yield module


def _train(where: str) -> list[np.ndarray]:
    """A few steps of a small network, and everything that is left of them."""
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, 3),
    ).to(where)  # fmt: skip
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    images, labels = tg.randn(6, 2, 4, 4), tg.tensor([0, 1, 2, 0, 1, 2], dtype="int64")
    for _ in range(2):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images.to(where)), labels.to(where))
        loss.backward()
        optimizer.step()
    assert str(loss.device) == where
    return [np.array(t) for t in (loss, *model.state_dict().values())]


def test_training_on_the_second_gpu_and_on_both_in_turn() -> None:
    first, second = _train("cuda:0"), _train("cuda:1")
    for a, b, c in zip(first, second, _train("cpu"), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-4, atol=1e-6)


def test_networks_on_two_gpus_take_turns_step_by_step() -> None:
    a, b = (tg.ones(3, device=f"cuda:{i}", requires_grad=True) for i in (0, 1))
    for _ in range(3):
        loss_a, loss_b = (a * a).sum(), (b * b * b).sum()
        loss_a.backward()
        loss_b.backward()
    assert a.grad.tolist() == [6.0] * 3
    assert b.grad.tolist() == [9.0] * 3
    assert (str(a.grad.device), str(b.grad.device)) == ("cuda:0", "cuda:1")


# Each is called with a tensor on the second GPU while the first one is current.
CALLS: list[Callable[[tg.Tensor], object]] = [
    lambda x: x + 1.0,
    lambda x: x.astype("float64"),
    lambda x: x.copy(),
    lambda x: x.numpy(),
    lambda x: x.sum().item(),
    lambda x: repr(x),
    lambda x: tg.tensor(x),
    lambda x: tg.tensor(x.data, dtype="float64"),
    lambda x: tg.zeros_like(x) + x,
    lambda x: x[tg.tensor([0], dtype="int64", device=x.device)],
    lambda x: x[[0, 1]],
    lambda x: x[x > 0],
    lambda x: x.assign_(np.ones(3)),
    lambda x: x.assign_(tg.ones(3, device="cuda:0")),
    lambda x: x.__setitem__(0, 5.0),
    lambda x: x.__setitem__([0, 1], [5.0, 6.0]),
    lambda x: F.dropout(x),
    lambda x: F.one_hot(tg.tensor([0, 2], dtype="int64", device=x.device)),
    lambda x: tg.where(x > 0, x, 0.0),
    lambda x: x.detach().requires_grad_().sum().backward(),
    lambda x: x.requires_grad_().backward(np.ones(3)),
    lambda x: tg.from_dlpack(x.detach()) + 1.0,
]


@pytest.mark.parametrize("call", CALLS)
def test_the_tensor_s_gpu_is_made_current(call: Callable[[tg.Tensor], object], cupy: ModuleType) -> None:
    x = tg.ones(3, device="cuda:1")
    cupy.cuda.Device(0).use()
    call(x)


def test_threads_choose_for_themselves() -> None:
    """A new thread begins on the first GPU, whatever others do."""
    x, found = tg.ones(3, device="cuda:1"), []
    thread = threading.Thread(target=lambda: found.append((x * 2.0).tolist()))
    thread.start()
    thread.join()
    assert found == [[2.0, 2.0, 2.0]]


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "a part", "no axes", "empty"])
def test_from_one_gpu_to_another_without_the_host(
    layout: str, cupy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = tg.tensor(np.arange(120.0).reshape(2, 3, 4, 5), device="cuda:0")
    x = {
        "contiguous": x,
        "channels last": x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
        "a part": x[:, 1:, ::2],
        "no axes": x[0, 0, 0, 1],
        "empty": x[:, :0],
    }[layout]
    expected = x.tolist()
    tg.ones(1, device="cuda:1").copy()  # the kernels are made now, and may take something from the host
    with monkeypatch.context() as patch:
        patch.setattr(cupy, "asnumpy", None)
        patch.setattr(tg.get_device("cuda:0"), "to_host", None)
        patch.setattr(tg.get_device("cuda:1"), "from_host", None)
        moved = x.to("cuda:1")
        back = moved.to("cuda:0")
    assert moved.data.device.id == 1
    assert back.data.device.id == 0
    assert moved.tolist() == back.tolist() == expected
    assert x.to("cuda") is x


def test_a_copy_between_gpus_waits_and_is_waited_for(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's stream waits for the source's, and the source's for the copy: only then its memory may be reused."""
    told: list[tuple[str, int]] = []

    class Stream(cupy.cuda.Stream):
        def record(self, event=None):
            told.append(("record", self.device_id))
            return super().record(event)

        def wait_event(self, event):
            told.append(("wait", self.device_id))
            super().wait_event(event)

    streams = []
    for index in (0, 1):
        with cupy.cuda.Device(index):
            streams.append(Stream(non_blocking=True).use())
    x = tg.ones(3, device="cuda:0", requires_grad=True)
    y = x.to("cuda:1")
    assert told == [("record", 0), ("wait", 1), ("record", 1), ("wait", 0)]
    (y * y).sum().backward()  # the gradient travels back
    assert str(x.grad.device) == "cuda:0"
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_modules_optimisers_and_states_follow() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to("cuda:0")
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for where in ("cuda:0", "cuda:1", "cpu", "cuda:1"):
        model.to(where)
        optimizer.zero_grad()
        model(tg.ones(4, 3, device=where) * tg.arange(4, device=where, dtype="float32").reshape(4, 1)).sum().backward()
        optimizer.step()
    assert {str(t.device) for t in (*model.parameters(), *model.buffers())} == {"cuda:1"}
    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to("cuda:0")
    other.load_state_dict(model.state_dict())
    assert {str(t.device) for t in other.parameters()} == {"cuda:0"}
    np.testing.assert_array_equal(np.array(other[0].weight), np.array(model[0].weight))
    optimizer.load_state_dict(optimizer.state_dict())


MIXED: list[Callable[[tg.Tensor, tg.Tensor], object]] = [
    lambda a, b: a + b,
    lambda a, b: a @ b,
    lambda a, b: tg.concatenate([a, b]),
    lambda a, b: tg.stack([a, b]),
    lambda a, b: tg.where(a > 0, b, 0.0),
    lambda a, b: a[tg.zeros(1, dtype="int64", device=b.device)],
    lambda a, b: a.__setitem__(tg.zeros(1, dtype="int64", device=b.device), 0.0),
    lambda a, b: F.linear(a, b),
    lambda a, b: F.batch_norm(a, b[0], b[0] * 0 + 1, training=False),
    lambda a, b: F.batch_norm(a, b[0], b[0], training=True),
    lambda a, b: nn.BatchNorm1d(2).to(b.device)(a),
    lambda a, b: nn.Linear(2, 2).to(b.device)(a),
    lambda a, b: F.mse_loss(a, b),
    lambda a, b: F.cross_entropy(a, tg.zeros(2, dtype="int64", device=b.device)),
    lambda a, b: F.cross_entropy(a, tg.zeros(2, dtype="int64", device=a.device), b[0]),
    lambda a, b: a.requires_grad_().backward(b),
    lambda a, b: setattr(a.requires_grad_(), "grad", b),
]


@pytest.mark.parametrize("call", MIXED)
def test_operands_on_two_gpus(call: Callable[[tg.Tensor, tg.Tensor], object]) -> None:
    a, b = tg.ones(2, 2, device="cuda:0"), tg.ones(2, 2, device="cuda:1")
    for first, second in ((a, b), (b, a)):
        with pytest.raises((DeviceError, tg.errors.GraphError), match=r"expected .*cuda:|one device.*cuda:"):
            call(first, second)
    assert a.tolist() == b.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_moving_to_a_gpu_by_name_and_number() -> None:
    x, net = tg.ones(2, device="cpu"), nn.Linear(2, 1)
    for chosen, where in ((1, "cuda:1"), ("cuda:1", "cuda:1"), (tg.get_device("cuda:1"), "cuda:1"), ("cuda", "cuda:0")):
        assert str(x.cuda(chosen).device) == where
        assert net.cuda(chosen) is net
        assert {str(parameter.device) for parameter in net.parameters()} == {where}
        assert {str(parameter.device) for parameter in net.cpu().parameters()} == {"cpu"}
    y = x.to("cuda:1", "float16")
    assert (str(y.device), y.dtype) == ("cuda:1", np.float16)
    assert str(x.cuda().device) == "cuda:0"
    before = tg.get_default_device()
    tg.set_default_device("cuda:1")
    try:
        assert str(x.cuda().device) == "cuda:1"
    finally:
        tg.set_default_device(before)
    for wrong in ("cpu", 2, "cuda:2"):
        for move in (x.cuda, net.cuda):
            with pytest.raises(DeviceError, match="expected"):
                move(wrong)
