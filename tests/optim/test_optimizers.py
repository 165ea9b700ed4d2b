"""Optimisers: trajectories beside PyTorch's, state, and what they refuse."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.errors import ArgumentError, DTypeError, GraphError, StateError

STEPS = 25

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "betas": (0.0, 0.99), "weight_decay": 0.3}),
]


def start() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((4, 3)), rng.standard_normal(3)]


def loss_of(w: Any, b: Any, step: int, tensor: Any) -> Any:
    """A loss that changes from step to step and is not quadratic."""
    x = np.random.default_rng(step).standard_normal((5, 4))
    z = tensor(x) @ w + b
    return (z * z * z * z).mean() + (z * tensor(np.cos(x[:, :3]))).sum()


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_the_trajectory_is_pytorchs(name: str, settings: dict[str, Any]) -> None:
    ours = [tg.tensor(a, requires_grad=True) for a in start()]
    theirs = [torch.tensor(a, requires_grad=True) for a in start()]
    optimizer = getattr(optim, name)(ours, **settings)
    reference = getattr(torch.optim, name)(theirs, **settings)
    for step in range(STEPS):
        optimizer.zero_grad()
        reference.zero_grad()
        loss_of(*ours, step, tg.tensor).backward()
        loss_of(*theirs, step, torch.tensor).backward()
        optimizer.step()
        reference.step()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=f"step {step}")


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_gradients_that_come_later_or_not_in_every_step(name: str, settings: dict[str, Any]) -> None:
    ours = [tg.tensor(a, requires_grad=True) for a in start()]
    theirs = [torch.tensor(a, requires_grad=True) for a in start()]
    optimizer = getattr(optim, name)(ours, **settings)
    reference = getattr(torch.optim, name)(theirs, **settings)
    for step, given in enumerate([(0,), (0, 1), (1,), (0, 1)]):
        optimizer.zero_grad()
        reference.zero_grad()
        for number in given:
            (ours[number] ** 3).sum().backward()
            (theirs[number] ** 3).sum().backward()
        optimizer.step()
        reference.step()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-9, err_msg=f"step {step}")


def test_groups_have_settings_of_their_own() -> None:
    ours = [tg.tensor(a, requires_grad=True) for a in start()]
    theirs = [torch.tensor(a, requires_grad=True) for a in start()]

    def groups(w: Any, b: Any) -> list[dict[str, Any]]:
        return [{"params": [w], "weight_decay": 0.5}, {"params": [b], "lr": 0.01, "momentum": 0.0}]

    optimizer = optim.SGD(groups(*ours), lr=0.1, momentum=0.9)
    reference = torch.optim.SGD(groups(*theirs), lr=0.1, momentum=0.9)
    for step in range(STEPS):
        optimizer.zero_grad()
        reference.zero_grad()
        loss_of(*ours, step, tg.tensor).backward()
        loss_of(*theirs, step, torch.tensor).backward()
        optimizer.step()
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-9)
    assert "group 1: 1 parameters, lr=0.01" in repr(optimizer)


def test_names_of_parameters_are_remembered() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    named = optim.SGD([{"name": "all", "params": model.parameters()}], lr=0.1)
    assert named.param_groups[0]["name"] == "all"


@pytest.mark.parametrize(("name", "settings"), SETTINGS[1:6])
def test_a_restored_state_continues_as_if_nothing_had_happened(name: str, settings: dict[str, Any]) -> None:
    ours = [tg.tensor(a, requires_grad=True) for a in start()]
    optimizer = getattr(optim, name)(ours, **settings)

    def run(parameters: list[tg.Tensor], optimizer: Any, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            loss_of(*parameters, step, tg.tensor).backward()
            optimizer.step()

    run(ours, optimizer, range(5))
    saved, weights = optimizer.state_dict(), [p.numpy().copy() for p in ours]
    untouched = copy.deepcopy(saved)
    run(ours, optimizer, range(5, 10))
    others = [tg.tensor(a, requires_grad=True) for a in weights]
    restored = getattr(optim, name)(others, lr=9.0)
    restored.load_state_dict(saved)
    run(others, restored, range(5, 10))
    for a, b in zip(ours, others, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert str(saved) == str(untouched)  # a snapshot: neither optimiser has changed it


def test_the_state_has_pytorchs_form() -> None:
    ours, theirs = tg.tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    for name in ("SGD", "Adam"):
        settings = {"lr": 0.1, "momentum": 0.9} if name == "SGD" else {"lr": 0.1}
        optimizer, reference = (
            getattr(optim, name)([ours], **settings),
            getattr(torch.optim, name)([theirs], **settings),
        )
        (ours * ours).sum().backward()
        (theirs * theirs).sum().backward()
        optimizer.step()
        reference.step()
        found, expected = optimizer.state_dict(), reference.state_dict()
        assert set(found) == set(expected)
        assert set(found["state"][0]) == set(expected["state"][0])
        assert found["param_groups"][0]["params"] == expected["param_groups"][0]["params"]
        assert set(found["param_groups"][0]) <= set(expected["param_groups"][0])


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    (w * w).sum().backward()
    optimizer.step()
    good = optimizer.state_dict()
    for change, complaint in [
        (lambda s: s["param_groups"].append(s["param_groups"][0]), r"groups of \[1\] parameters"),
        (lambda s: s["param_groups"][0].pop("momentum"), "none called"),
        (lambda s: s["state"].update({7: {}}), "parameters 0 to 0"),
        (lambda s: s["state"][0].update(momentum_buffer=tg.zeros(3)), r"of shape \(2,\)"),
        (lambda s: s["state"].update({0: {"exp_avg": tg.zeros(2)}}), "no momentum_buffer"),
        (lambda s: s.pop("state"), "'state' and 'param_groups'"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), "lr to be a number >= 0"),
        (lambda s: s["param_groups"][0].update(momentun=0.5), r"unknown ones called \['momentun'\]"),
        (lambda s: s["param_groups"][0].update(params=0), "mappings with a list 'params'"),
        (lambda s: s["param_groups"][0].update(params=[None]), "each of params to be an integer"),
        (lambda s: s.update(param_groups=3), "mappings with a list 'params'"),
        (lambda s: s.update(state=[1]), "'state' to be a mapping"),
        (lambda s: s["state"].update({0: 3}), "what parameter 0 remembers"),
        (lambda s: s["state"][0].update(momentum_buffer="x"), "got"),
    ]:
        bad = copy.deepcopy(good)
        change(bad)
        with pytest.raises(StateError, match=complaint):
            optimizer.load_state_dict(bad)
        assert str(optimizer.state_dict()) == str(good)


def test_parameters_without_gradient_are_left_alone() -> None:
    used, unused = (tg.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([used, unused], lr=0.1, weight_decay=1.0)
    (used * 2.0).sum().backward()
    optimizer.step()
    assert used.item() == pytest.approx(1.0 - 0.1 * 3.0)
    assert unused.item() == 1.0


def test_a_copy_of_model_and_optimiser_goes_on_alike() -> None:
    model = nn.Linear(3, 1)
    pair = (model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9))

    def step(model: Any, optimizer: Any) -> None:
        optimizer.zero_grad()
        (model(tg.ones(2, 3)) ** 2).sum().backward()
        optimizer.step()

    step(*pair)
    twin = copy.deepcopy(pair)
    assert next(twin[0].parameters()) is twin[1].param_groups[0]["params"][0]
    step(*pair)
    step(*twin)
    assert pair[0].weight.tolist() == twin[0].weight.tolist()


def test_zero_grad() -> None:
    w = tg.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    (w * 3.0).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.item() == 0.0
    optimizer.zero_grad()
    assert w.grad is None


def test_a_step_between_forward_and_backward_is_noticed() -> None:
    w = tg.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    (w * w).sum().backward()
    second = (w * w).sum()
    optimizer.step()
    with pytest.raises(GraphError, match="changed in place"):
        second.backward()


@pytest.mark.parametrize(
    ("make", "error", "complaint"),
    [
        (lambda w: optim.SGD([], lr=0.1), ArgumentError, "in SGD: expected at least one parameter, got none"),
        (lambda w: optim.Adam(w), DTypeError, "an iterable of parameters, got one Tensor"),
        (lambda w: optim.SGD([w, w], lr=0.1), ArgumentError, "each parameter once"),
        (lambda w: optim.SGD([{"params": [w]}, {"params": [w]}], lr=0.1), ArgumentError, "each parameter once"),
        (lambda w: optim.SGD([w * 2.0], lr=0.1), GraphError, "leaf tensors, got one computed"),
        (lambda w: optim.SGD([tg.zeros(2, dtype="int64")], lr=0.1), DTypeError, "floating-point parameters"),
        (lambda w: optim.SGD([np.zeros(2)], lr=0.1), DTypeError, "parameters that are Tensors, got ndarray"),
        (lambda w: optim.SGD([w], lr=0.0), ArgumentError, "lr to be a number > 0, got 0.0"),
        (lambda w: optim.SGD([w], lr=-0.1), ArgumentError, "lr to be a number"),
        (lambda w: optim.SGD([w], lr=math.nan), ArgumentError, "lr to be a number"),
        (lambda w: optim.SGD([w], lr=math.inf), ArgumentError, "lr to be a number"),
        (lambda w: optim.SGD([w], lr="0.1"), DTypeError, "lr to be a number"),
        (lambda w: optim.SGD([w], momentum=1.0), ArgumentError, "momentum to be a number >= 0 and < 1"),
        (lambda w: optim.SGD([w], weight_decay=-1e-4), ArgumentError, "weight_decay to be a number >= 0"),
        (lambda w: optim.SGD([w], nesterov=True), ArgumentError, "momentum > 0 and dampening 0 with nesterov"),
        (lambda w: optim.Adam([w], betas=(0.9, 1.0)), ArgumentError, r"betas\[1\] to be a number >= 0 and < 1"),
        (lambda w: optim.Adam([w], betas=0.9), ArgumentError, "betas to be two numbers"),
        (lambda w: optim.AdamW([w], eps=-1.0), ArgumentError, "in AdamW: expected eps"),
        (lambda w: optim.SGD([{"params": [w], "lrr": 1.0}]), ArgumentError, "settings among lr, momentum"),
        (lambda w: optim.SGD([{"parameters": [w]}]), ArgumentError, "a mapping with 'params'"),
        (lambda w: optim.SGD([{"params": []}]), ArgumentError, "at least one parameter in each group"),
    ],
)
def test_wrong_calls(make: Any, error: type[Exception], complaint: str) -> None:
    w = tg.tensor([1.0], requires_grad=True)
    with pytest.raises(error, match=complaint):
        make(w)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_training_that_diverges_does_so_without_a_warning(name: str) -> None:
    w = tg.tensor([1e30, 1.0], requires_grad=True)
    optimizer = getattr(optim, name)([w], lr=1e30)
    for _ in range(3):
        optimizer.zero_grad()
        (w * w * w).sum().backward()
        optimizer.step()
    assert not w.isfinite().all()


def test_a_parameter_without_axes() -> None:
    for name in ("SGD", "Adam"):
        w = tg.tensor(1.0, requires_grad=True)
        optimizer = getattr(optim, name)([w], lr=0.1)
        (w * w).backward()
        optimizer.step()
        assert w.shape == ()
        assert w.item() < 1.0


def test_on_every_device(device: str) -> None:
    w = tg.tensor([1.0, -2.0], requires_grad=True, device=device)
    for optimizer in (optim.SGD([w], lr=0.1, momentum=0.9), optim.Adam([w], lr=0.1)):
        before = np.abs(w.numpy()).sum()
        for _ in range(2):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
        assert np.abs(w.numpy()).sum() < before
        assert str(w.device) == str(tg.get_device(device))


def test_adams_state_needs_its_step() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)
    (w * w).sum().backward()
    optimizer.step()
    good = optimizer.state_dict()
    for step, complaint in [(None, "no step"), (-1, "step of parameter 0 >= 0"), (1.5, "to be an integer")]:
        bad = copy.deepcopy(good)
        del bad["state"][0]["step"]
        if step is not None:
            bad["state"][0]["step"] = step
        with pytest.raises(StateError, match=complaint):
            optimizer.load_state_dict(bad)
    assert str(optimizer.state_dict()) == str(good)
    optimizer.step()


def test_a_state_shares_nothing_with_its_optimizer() -> None:
    optimizer = optim.Adam([("w", tg.tensor([1.0], requires_grad=True))], betas=[0.8, 0.9])  # type: ignore[arg-type]
    state = optimizer.state_dict()
    state["param_groups"][0]["betas"] = [0.5, 0.5]
    state["param_groups"][0]["param_names"][0] = "v"
    assert list(optimizer.param_groups[0]["betas"]) == [0.8, 0.9]
    assert optimizer.param_groups[0]["param_names"] == ["w"]
    optimizer.load_state_dict(state)
    state["param_groups"][0]["betas"][0] = 7.0
    assert list(optimizer.param_groups[0]["betas"]) == [0.5, 0.5]
