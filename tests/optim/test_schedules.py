"""Schedules: every learning rate beside PyTorch's, over many steps."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import pytest
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn import optim
from tinygrad_bn.errors import ArgumentError, DTypeError, StateError


def sequential(o: Any, optimizer: Any, **settings: Any) -> Any:
    schedules = o.lr_scheduler if o is torch.optim else o
    warm_up = schedules.LinearLR(optimizer, start_factor=0.1, total_iters=5)
    cosine = schedules.CosineAnnealingLR(optimizer, T_max=20, eta_min=settings.get("eta_min", 0.0))
    last = schedules.StepLR(optimizer, 3)
    return schedules.SequentialLR(optimizer, [warm_up, cosine, last], milestones=[5, 25])


SCHEDULES: dict[str, Any] = {
    "step": lambda o, opt: o.StepLR(opt, 4, gamma=0.5),
    "multi_step": lambda o, opt: o.MultiStepLR(opt, [10, 3, 3, 20], gamma=0.1),
    "cosine": lambda o, opt: o.CosineAnnealingLR(opt, 15),
    "cosine to a floor": lambda o, opt: o.CosineAnnealingLR(opt, 40, eta_min=0.02),
    "lambda": lambda o, opt: o.LambdaLR(opt, lambda step: 1.0 / (1.0 + step)),
    "lambdas": lambda o, opt: o.LambdaLR(opt, [lambda step: 0.9**step, lambda step: 1.0]),
    "linear": lambda o, opt: o.LinearLR(opt, start_factor=0.01, total_iters=7),
    "linear down": lambda o, opt: o.LinearLR(opt, start_factor=1.0, end_factor=0.0, total_iters=12),
    "one_cycle": lambda o, opt: o.OneCycleLR(opt, 0.5, total_steps=40),
    "one_cycle linear, each group": lambda o, opt: o.OneCycleLR(
        opt,
        [0.5, 0.2],
        total_steps=33,
        pct_start=0.4,
        anneal_strategy="linear",
        div_factor=10.0,
        final_div_factor=100.0,
    ),
    "one_cycle without momentum": lambda o, opt: o.OneCycleLR(opt, 0.5, total_steps=31, cycle_momentum=False),
    "one_cycle, hardly a way up": lambda o, opt: o.OneCycleLR(opt, 0.5, total_steps=31, pct_start=0.01),
    "sequential": None,
    "sequential to a floor": None,
}


def optimizers(kind: str = "SGD") -> tuple[Any, Any]:
    settings = {"momentum": 0.9} if kind == "SGD" else {}
    ours = [tg.tensor([1.0], requires_grad=True) for _ in range(2)]
    theirs = [torch.tensor([1.0], requires_grad=True) for _ in range(2)]
    return (
        getattr(optim, kind)([{"params": ours[:1]}, {"params": ours[1:], "lr": 0.03}], lr=0.1, **settings),
        getattr(torch.optim, kind)([{"params": theirs[:1]}, {"params": theirs[1:], "lr": 0.03}], lr=0.1, **settings),
    )


def make(name: str, module: Any, optimizer: Any) -> Any:
    if name.startswith("sequential"):
        return sequential(module, optimizer, eta_min=0.01 if "floor" in name else 0.0)
    return SCHEDULES[name](module.lr_scheduler if module is torch.optim else module, optimizer)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_learning_rate_is_pytorchs(name: str, kind: str) -> None:
    ours, theirs = optimizers(kind)
    schedule = make(name, optim, ours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns about itself: SequentialLR steps without the optimiser
        reference = make(name, torch.optim, theirs)
        for step in range(31):
            for group, expected in zip(ours.param_groups, theirs.param_groups, strict=True):
                assert group["lr"] == pytest.approx(expected["lr"], rel=1e-9, abs=1e-12), f"step {step}"
                if name.startswith("one_cycle"):
                    key = "betas" if kind == "Adam" else "momentum"
                    assert group[key] == pytest.approx(expected[key], rel=1e-12), f"step {step}"
            assert schedule.get_last_lr() == [group["lr"] for group in ours.param_groups]
            ours.step()
            theirs.step()
            if step < 30:
                schedule.step()
                reference.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_restored_schedule_continues(name: str) -> None:
    first, second = optimizers()[0], optimizers()[0]
    schedule, restored = make(name, optim, first), make(name, optim, second)
    for _ in range(9):
        schedule.step()
    restored.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    assert restored.get_last_lr() == schedule.get_last_lr()
    for _ in range(20):
        schedule.step()
        restored.step()
        assert restored.get_last_lr() == schedule.get_last_lr()


def test_a_state_that_does_not_fit() -> None:
    optimizer = optimizers()[0]
    schedule = optim.StepLR(optimizer, 2)
    with pytest.raises(StateError, match="'last_epoch' and 'base_lrs'"):
        schedule.load_state_dict({})
    with pytest.raises(StateError, match="learning rates of 2 groups, got of 1"):
        schedule.load_state_dict({"last_epoch": 3, "base_lrs": [1.0]})
    with pytest.raises(StateError, match="states of 3 schedulers"):
        sequential(optim, optimizer).load_state_dict({"last_epoch": 3, "base_lrs": [1.0, 1.0]})
    assert schedule.last_epoch == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda s: s["schedulers"][1].pop("base_lrs"), "'last_epoch' and 'base_lrs'"),
        (lambda s: s["schedulers"][2].update(last_epoch=-1), "last_epoch >= 0"),
        (lambda s: s.update(last_epoch="3"), "last_epoch to be an integer"),
        (lambda s: s.update(base_lrs=["a", "b"]), "each of base_lrs to be a number"),
        (lambda s: s.update(base_lrs=0.1), "learning rates of 2 groups, got 0.1"),
        (lambda s: s.update(schedulers=3), "states of 3 schedulers, got 3"),
    ],
)
def test_a_state_of_which_a_part_does_not_fit_changes_nothing(change: Any, complaint: str) -> None:
    first, second = optimizers()[0], optimizers()[0]
    schedule, other = sequential(optim, first), sequential(optim, second)
    for _ in range(7):
        schedule.step()
    state = schedule.state_dict()
    change(state)
    before = other.state_dict(), str(second)
    with pytest.raises(StateError, match=complaint):
        other.load_state_dict(state)
    assert (other.state_dict(), str(second)) == before


def test_a_state_from_a_longer_cycle_changes_nothing() -> None:
    optimizer = optimizers()[0]
    schedule = optim.OneCycleLR(optimizer, 0.5, total_steps=4)
    before = schedule.state_dict(), str(optimizer)
    with pytest.raises(StateError, match="at most 4 steps"):
        schedule.load_state_dict({"last_epoch": 5, "base_lrs": [9.0, 9.0]})
    assert (schedule.state_dict(), str(optimizer)) == before


def test_groups_that_come_too_late() -> None:
    optimizer = optimizers()[0]
    schedule = optim.StepLR(optimizer, 2)
    optimizer.add_param_group({"params": [tg.zeros(1, requires_grad=True)]})
    with pytest.raises(StateError, match="add groups before making a schedule"):
        schedule.step()
    assert schedule.last_epoch == 0


def test_one_cycle_ends() -> None:
    optimizer = optimizers()[0]
    schedule = optim.OneCycleLR(optimizer, 0.5, total_steps=4)
    for _ in range(4):
        schedule.step()
    with pytest.raises(ArgumentError, match=r"at most 4 steps"):
        schedule.step()
    assert schedule.last_epoch == 4
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 / 25 / 1e4)


def test_a_learning_rate_of_zero_at_the_end_can_be_saved_and_loaded() -> None:
    first, second = optimizers()[0], optimizers()[0]
    schedule = optim.CosineAnnealingLR(first, 2)
    schedule.step()
    schedule.step()
    assert first.param_groups[0]["lr"] == pytest.approx(0.0)
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == first.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda o: optim.StepLR(o, 0), "step_size >= 1"),
        (lambda o: optim.StepLR(o, 2, gamma=math.nan), "gamma to be a number > 0"),
        (lambda o: optim.MultiStepLR(o, [1.5]), "each milestone to be an integer"),
        (lambda o: optim.CosineAnnealingLR(o, 0), "T_max >= 1"),
        (lambda o: optim.LinearLR(o, start_factor=0.0), "start_factor to be a number > 0"),
        (lambda o: optim.LinearLR(o, end_factor=2.0), "factor to be a number .* and <= 1"),
        (lambda o: optim.LambdaLR(o, [len]), "2 functions, one per group"),
        (lambda o: optim.OneCycleLR(o, 0.1, total_steps=1), "total_steps >= 2"),
        (lambda o: optim.OneCycleLR(o, [0.1], total_steps=9), "2 values of max_lr"),
        (lambda o: optim.OneCycleLR(o, 0.1, total_steps=9, anneal_strategy="cosine"), "did you mean 'cos'"),
        (lambda o: optim.OneCycleLR(o, 0.1, total_steps=9, pct_start=1.0), "pct_start to be a number > 0 and < 1"),
        (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 2)], [3]), "one milestone fewer than schedulers"),
        (lambda o: optim.StepLR("sgd", 2), "an Optimizer, got str"),
        (lambda o: optim.LambdaLR("sgd", len), "an Optimizer, got str"),
    ],
)
def test_wrong_calls(call: Any, complaint: str) -> None:
    optimizer = optimizers()[0]
    with pytest.raises((ArgumentError, DTypeError), match=complaint):
        call(optimizer)


def test_one_cycle_needs_a_momentum_to_cycle() -> None:
    optimizer = optim.SGD([tg.tensor([1.0], requires_grad=True)], lr=0.1)
    with pytest.raises(ArgumentError, match="cycle_momentum=False"):
        optim.OneCycleLR(optimizer, 0.5, total_steps=4)


def test_sequential_needs_one_optimiser() -> None:
    a, b = optimizers()[0], optimizers()[0]
    with pytest.raises(ArgumentError, match="of the given optimizer"):
        optim.SequentialLR(a, [optim.StepLR(b, 2)], [])
    with pytest.raises(ArgumentError, match="milestones that grow"):
        optim.SequentialLR(a, [optim.StepLR(a, 2) for _ in range(3)], [5, 5])
