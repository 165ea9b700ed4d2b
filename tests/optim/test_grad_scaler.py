"""Loss scaling, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import torch
from stand_in import stand_in_device

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn, optim
from tinygrad_bn.backend import get_device
from tinygrad_bn.backend.device import _devices as known_devices
from tinygrad_bn.errors import ArgumentError, DTypeError, GraphError, StateError
from tinygrad_bn.kernels.reference import Kernels

SMALL = {"init_scale": 2.0**10, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 3}


@pytest.fixture(params=["fast", "reference", "stand_in", "emulated"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each place where gradients are unscaled by other code."""
    if request.param == "emulated":
        request.getfixturevalue("emulated_gpu")
        return "cuda:0"
    if request.param == "stand_in":
        device = stand_in_device()
        monkeypatch.setitem(known_devices, device.name, device)
        return device.name
    if request.param == "reference":
        monkeypatch.setattr(get_device("cpu"), "kernels", Kernels(get_device("cpu")))
    return "cpu"


def parameters(device: str = "cpu") -> tuple[list[tg.Tensor], list[Any]]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype("float32") for shape in ((4, 3), (3,), (2, 2, 2))]
    return (
        [tg.tensor(a, device=device, requires_grad=True) for a in arrays],
        [torch.tensor(a, requires_grad=True) for a in arrays],
    )


# What the loss is multiplied by in each step: the gradients of some overflow.
FACTORS = [1.0, 1.0, 1.0, 1.0, np.inf, 1.0, np.nan, 1e38, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -np.inf, 1.0]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_the_scales_and_steps_are_those_of_pytorch(optimizer: str, where: str) -> None:
    ours, theirs = parameters(where)
    settings: dict[str, Any] = {"lr": 0.1, "momentum": 0.9} if optimizer == "SGD" else {"lr": 0.1}
    first, second = getattr(optim, optimizer)(ours, **settings), getattr(torch.optim, optimizer)(theirs, **settings)
    scaler, reference = tg.GradScaler(**SMALL), torch.amp.GradScaler("cpu", **SMALL)
    scales = []
    for step, factor in enumerate(FACTORS):
        for values, taking, scaling in ((ours, first, scaler), (theirs, second, reference)):
            taking.zero_grad()
            loss = sum((value * value).sum() for value in values) * factor
            scaling.scale(loss).backward()
            scaling.step(taking)
            scaling.update()
        scales.append(scaler.get_scale())
        assert scales[-1] == reference.get_scale(), f"step {step}"
        for value, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(value.numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert scaler.state_dict() == reference.state_dict()
    assert len(set(scales)) == 4


def test_the_scale_does_not_become_infinite() -> None:
    (ours, _), scaler = parameters(), tg.GradScaler(init_scale=1e38, growth_factor=10.0, growth_interval=1)
    optimizer = optim.SGD(ours, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale((ours[0] * 0.0).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == np.float32(1e38)


def test_clipping_after_unscaling(where: str) -> None:
    ours, theirs = parameters(where)
    first, second = optim.SGD(ours, lr=0.1), torch.optim.SGD(theirs, lr=0.1)
    scaler, reference = tg.GradScaler(), torch.amp.GradScaler("cpu")
    scaler.scale(sum((value * value).sum() for value in ours)).backward()
    reference.scale(sum((value * value).sum() for value in theirs)).backward()
    scaler.unscale_(first)
    reference.unscale_(second)
    norm, expected = optim.clip_grad_norm_(ours, 0.5), torch.nn.utils.clip_grad_norm_(theirs, 0.5)
    assert norm.item() == pytest.approx(expected.item(), rel=1e-5)
    for scaling, optimizer in ((scaler, first), (reference, second)):
        scaling.step(optimizer)
        scaling.update()
    for value, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(value.numpy(), other.detach().numpy(), rtol=1e-5)


def test_small_gradients_survive_in_float16_and_large_ones_are_skipped(where: str) -> None:
    """The gradient 1e-6 / 1024 is 0 in float16; times the scale it is not, and a scale too large halves."""
    w = tg.tensor(np.zeros((1, 1024)), dtype="float32", device=where, requires_grad=True)
    x = tg.full((1, 1024), 1e-6, device=where)
    for scaled in (False, True):
        scaler, optimizer = tg.GradScaler(init_scale=2.0**28, enabled=scaled), optim.SGD([w], lr=1.0)
        found = []
        for _ in range(14 if scaled else 1):
            optimizer.zero_grad()
            with tg.autocast("float16"):
                loss = F.linear(x, w).mean() / 1024.0
            before = w.numpy().copy()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            found.append((scaler.get_scale(), bool((before != w.numpy()).any())))
            assert w.grad.dtype == np.float32
        if not scaled:
            assert found == [(1.0, False)]
            continue
        scales = [scale for scale, _ in found]
        skipped = [moved for _, moved in found].index(True)
        assert 0 < skipped < 14
        assert scales[:skipped] == [2.0 ** (27 - i) for i in range(skipped)]
        assert set(scales[skipped:]) == {scales[skipped - 1]}  # from then on nothing overflows


def test_several_losses_and_optimisers() -> None:
    (ours, _), scaler = parameters(), tg.GradScaler(init_scale=8.0)
    first, second = optim.SGD(ours[:1], lr=1.0), optim.SGD(ours[1:], lr=1.0)
    before = [value.numpy().copy() for value in ours]
    losses = scaler.scale([ours[0].sum(), (ours[1] * np.inf).sum()])
    assert isinstance(losses, list)
    assert isinstance(scaler.scale((ours[2].sum(),)), tuple)
    (losses[0] + losses[1]).backward()
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert scaler.get_scale() == 4.0  # one of them has overflowed
    np.testing.assert_array_equal(ours[0].numpy(), before[0] - np.float32(1.0))
    np.testing.assert_array_equal(ours[1].numpy(), before[1])


def test_a_gradient_that_two_parameters_share_is_unscaled_once() -> None:
    (ours, _), scaler = parameters(), tg.GradScaler(init_scale=4.0)
    a, b = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    scaler.scale(ours[0].sum())
    a.grad = b.grad = tg.full((2,), 8.0)
    scaler.unscale_(optim.SGD([a, b], lr=1.0))
    assert a.grad.tolist() == b.grad.tolist() == [2.0, 2.0]


def test_gradients_of_bfloat16_and_float64_parameters() -> None:
    scaler = tg.GradScaler(init_scale=4.0)
    for dtype in ("bfloat16", "float64"):
        w = tg.ones(3, dtype=dtype, requires_grad=True)
        optimizer = optim.SGD([w], lr=0.5)
        scaler.scale((w * 2.0).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert w.grad.dtype == w.dtype
        assert w.tolist() == [0.0] * 3


def test_not_enabled_everything_passes() -> None:
    (ours, _), scaler = parameters(), tg.GradScaler(enabled=False)
    optimizer, loss = optim.SGD(ours, lr=1.0), ours[1].sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    before = ours[1].numpy().copy()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.step(optimizer)
    scaler.update()
    np.testing.assert_allclose(ours[1].numpy(), before - 2.0, rtol=1e-6)
    assert scaler.get_scale() == 1.0
    assert not scaler.is_enabled()
    assert scaler.state_dict() == {}
    scaler.load_state_dict({})


def test_the_order_of_calls_is_held() -> None:
    (ours, _), scaler = parameters(), tg.GradScaler()
    optimizer = optim.SGD(ours, lr=0.1)
    with pytest.raises(GraphError, match="a loss that was scaled"):
        scaler.step(optimizer)
    with pytest.raises(GraphError, match="a step since the last update"):
        scaler.update()
    loss = scaler.scale(ours[0].sum())
    with pytest.raises(GraphError, match="whose parameters have gradients"):
        scaler.step(optimizer)
    with pytest.raises(GraphError, match="a step since the last update"):
        scaler.update()
    loss.backward()
    scaler.unscale_(optimizer)
    with pytest.raises(GraphError, match=r"a second unscale_\(\); call update"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(GraphError, match=r"a second step\(\); call update"):
        scaler.step(optimizer)
    with pytest.raises(GraphError, match=r"one after step\(\)"):
        scaler.unscale_(optimizer)
    scaler.update()
    scaler.step(optimizer)


def test_gradients_in_float16_are_refused_before_anything_changes() -> None:
    a, b = tg.ones(2, requires_grad=True), tg.ones(2, dtype="float16", requires_grad=True)
    scaler = tg.GradScaler()
    optimizer = optim.SGD([a, b], lr=0.1)
    scaler.scale((a * 1.0).sum() + (b * 1.0).sum()).backward()
    with pytest.raises(DTypeError, match="gradients in float32, got float16"):
        scaler.step(optimizer)
    assert a.grad.tolist() == [65536.0] * 2


@pytest.mark.parametrize(
    "settings",
    [
        {"init_scale": 0.0},
        {"init_scale": np.inf},
        {"growth_factor": 1.0},
        {"backoff_factor": 1.0},
        {"backoff_factor": 0.0},
        {"growth_interval": 0},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"in GradScaler: expected {next(iter(settings))}"):
        tg.GradScaler(**settings)


def test_wrong_arguments() -> None:
    with pytest.raises(DTypeError, match="enabled"):
        tg.GradScaler(enabled=1)  # type: ignore[arg-type]
    scaler = tg.GradScaler()
    with pytest.raises(DTypeError, match="an iterable of Tensors, got float"):
        scaler.scale(1.0)
    with pytest.raises(DTypeError, match="an iterable of Tensors, got str"):
        scaler.scale(["a"])
    for scaler in (tg.GradScaler(), tg.GradScaler(enabled=False)):
        for call in (scaler.step, scaler.unscale_):
            for value in (3, None, torch.optim.SGD([torch.ones(1, requires_grad=True)])):
                with pytest.raises(
                    DTypeError, match=r"^in GradScaler\.(step|unscale_): expected an optimiser of tg.optim"
                ):
                    call(value)  # type: ignore[arg-type]


def test_another_scale_is_set_by_hand() -> None:
    (ours, _), scaler = parameters(), tg.GradScaler()
    scaler.scale(ours[0].sum())
    scaler.update(16.0)
    assert scaler.get_scale() == 16.0
    scaler.update(tg.tensor([32.0]))
    assert scaler.get_scale() == 32.0
    with pytest.raises(ArgumentError, match="new_scale"):
        scaler.update(-1.0)
    with pytest.raises(ArgumentError, match="one element"):
        scaler.update(tg.ones(2))


def test_state_dicts_go_round_and_to_pytorch() -> None:
    (ours, theirs), scaler, reference = parameters(), tg.GradScaler(**SMALL), torch.amp.GradScaler("cpu")
    for factor in (1.0, 1.0, 1.0, 1.0, np.inf, 1.0, 1.0):
        optimizer = optim.SGD(ours, lr=0.1)
        optimizer.zero_grad()
        scaler.scale(ours[0].sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
    state = scaler.state_dict()
    reference.scale(theirs[0].sum())
    reference.load_state_dict(state)
    assert state == reference.state_dict()
    assert state["_growth_tracker"] == 2
    fresh, used = tg.GradScaler(), tg.GradScaler()
    used.scale(ours[0].sum())
    for other in (fresh, used):
        other.load_state_dict(state)
        assert other.state_dict() == state
        assert other.scale(tg.ones(1)).item() == state["scale"]
        optimizer = optim.SGD(ours, lr=0.1)
        optimizer.zero_grad()
        other.scale(ours[0].sum()).backward()
        other.step(optimizer)
        other.update()
        assert other.get_scale() == 4.0 * state["scale"]  # the third in a row
    before = fresh.state_dict()
    for wrong in ({}, {**state, "scale": -1.0}, {**state, "_growth_tracker": 0.5}, {"scale": 1.0}, None):
        with pytest.raises(StateError, match=r"GradScaler"):
            fresh.load_state_dict(wrong)  # type: ignore[arg-type]
        assert fresh.state_dict() == before


def test_a_captured_step_with_loss_scaling_does_what_the_plain_one_does(where: str) -> None:
    """Scale, growth, and steps that are left out: all of it happens on the device, at each replay."""

    def train(captured: bool) -> tuple[list[np.ndarray], list[float]]:
        tg.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
        model.to(where)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        scaler = tg.GradScaler(init_scale=2.0**18, growth_interval=2)

        def step(images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
            optimizer.zero_grad()
            with tg.autocast("float16"):
                loss = F.cross_entropy(model(images), labels)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            return loss

        run = tg.capture(step) if captured else step
        rng, scales = np.random.default_rng(0), []
        for number in range(9):
            images = rng.standard_normal((6, 1, 6, 6)).astype("float32") * (np.inf if number == 6 else 1.0)
            run(tg.tensor(images, device=where), tg.tensor(rng.integers(0, 3, 6), device=where))
            scales.append(scaler.get_scale())
        return [p.numpy() for p in model.parameters()], scales

    plain, expected = train(captured=False)
    found, scales = train(captured=True)
    assert scales == expected
    assert scales[6] == scales[5] / 2
    assert max(scales) > min(scales)
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_array_equal(a, b)
