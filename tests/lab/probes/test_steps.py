"""The step probe: its numbers against their definitions, and a training that does not notice it."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.errors import ArgumentError, GraphError, StateError
from tinygrad_bn.lab.probes import StepProbe

F = tg.functional
IMAGES = np.random.default_rng(0).normal(size=(12, 1, 8, 8)).astype(np.float32)
LABELS = np.arange(12) % 4


def network(order: str = "swap", activation: str = "tanh", bias: bool = True) -> nn.Module:
    tg.manual_seed(0)
    return nn.SmallCNN(1, 4, 8, width=2, order=order, activation=activation, bias=bias)


def sgd(model: nn.Module) -> optim.SGD:
    return optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)


def train(model: nn.Module, optimizer: optim.Optimizer, steps: range, probe: StepProbe | None = None) -> None:
    for number in steps:
        optimizer.zero_grad()
        F.cross_entropy(model(tg.tensor(IMAGES)), tg.tensor(LABELS)).backward()
        if probe is None:
            optimizer.step()
        else:
            with probe.step(number):
                optimizer.step()


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        first[key].dtype == second[key].dtype and first[key].tobytes() == second[key].tobytes() for key in first
    )


def host(state: dict[str, tg.Tensor]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in state.items()}


@pytest.mark.parametrize("order", ["convention", "swap", "no-norm"])
@pytest.mark.parametrize("every", [1, 3])
def test_training_is_bit_for_bit_the_same(order: str, every: int) -> None:
    alone, watched = network(order), network(order)
    train(alone, sgd(alone), range(7))
    optimizer = sgd(watched)
    train(watched, optimizer, range(7), StepProbe(watched, optimizer, every))
    assert same(host(alone.state_dict()), host(watched.state_dict()))
    for one, other in zip(alone.parameters(), watched.parameters(), strict=True):
        np.testing.assert_array_equal(one.grad.numpy(), other.grad.numpy())


def test_the_numbers_are_those_of_their_definitions() -> None:
    model = network("convention")
    optimizer = sgd(model)
    probe = StepProbe(model, optimizer)
    train(model, optimizer, range(3), probe)
    optimizer.zero_grad()
    F.cross_entropy(model(tg.tensor(IMAGES)), tg.tensor(LABELS)).backward()
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    before = [layer.weight.numpy().astype(np.float64) for layer in layers]
    gradients = [layer.weight.grad.numpy().astype(np.float64) for layer in layers]
    optimizer.param_groups[0]["lr"] = 0.02
    model.features[0].norm.weight.data[0] = -0.5
    with probe.step(7):
        optimizer.step()
    arrays = probe.arrays()
    assert arrays["step"].tolist() == [0, 1, 2, 7]
    assert arrays["weight/names"].tolist()[:2] == ["features.0.conv", "features.1.conv"]
    for position, layer in enumerate(layers):
        size = np.linalg.norm(before[position])
        moved = np.linalg.norm(layer.weight.numpy().astype(np.float64) - before[position])
        last = {name.removeprefix("weight/"): rows[-1] for name, rows in arrays.items() if name.startswith("weight/")}
        assert last["gradient_norm"][position] == pytest.approx(np.linalg.norm(gradients[position]), rel=1e-12)
        assert last["weight_norm"][position] == pytest.approx(size, rel=1e-12)
        assert last["update_ratio"][position] == pytest.approx(moved / size, rel=1e-6)
        rate = last["effective_learning_rate"][position]
        assert rate == pytest.approx(0.02 / size**2, rel=1e-12) if position < 5 else math.isnan(rate)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(arrays["norm/names"]) == len(norms) == 5
    for position, norm in enumerate(norms):
        for name, parameter in (("gamma", norm.weight), ("beta", norm.bias)):
            for statistic in ("mean", "std", "min", "max"):
                expected = getattr(np, statistic)(parameter.numpy().astype(np.float64))
                assert arrays[f"norm/{name}_{statistic}"][-1, position] == pytest.approx(expected, abs=1e-15)
        running = np.abs(norm.running_mean.numpy()).mean(), norm.running_var.numpy().mean()
        assert arrays["norm/running_mean_magnitude"][-1, position] == pytest.approx(running[0], rel=1e-6)
        assert arrays["norm/running_variance"][-1, position] == pytest.approx(running[1], rel=1e-6)
    assert arrays["norm/gamma_negative"][-1].tolist() == [1, 0, 0, 0, 0]


def test_a_run_that_is_resumed_goes_on_with_its_records() -> None:
    undisturbed = network()
    optimizer = sgd(undisturbed)
    whole = StepProbe(undisturbed, optimizer, every=2)
    train(undisturbed, optimizer, range(8), whole)

    first = network()
    optimizer = sgd(first)
    probe = StepProbe(first, optimizer, every=2)
    train(first, optimizer, range(5), probe)
    file = io.BytesIO()
    np.savez_compressed(file, **probe.arrays())
    file.seek(0)
    saved_model, saved_optimizer = first.state_dict(), optimizer.state_dict()

    second = network()
    second.load_state_dict(saved_model)
    optimizer = sgd(second)
    optimizer.load_state_dict(saved_optimizer)
    resumed = StepProbe(second, optimizer, every=2)
    with np.load(file, allow_pickle=False) as arrays:
        resumed.restore(dict(arrays))
    train(second, optimizer, range(5, 8), resumed)
    assert same(resumed.arrays(), whole.arrays())


def test_an_empty_record_can_be_saved_and_restored() -> None:
    model = network()
    probe = StepProbe(model, sgd(model))
    empty = probe.arrays()
    assert empty["weight/gradient_norm"].shape == (0, 6)
    probe.restore(empty)
    assert same(probe.arrays(), empty)


@pytest.mark.parametrize(
    ("order", "activation", "bias", "known"),
    [("swap", "tanh", True, 0), ("swap", "relu", True, 0), ("swap", "relu", False, 5), ("convention", "tanh", True, 5)],
)
def test_there_is_an_effective_rate_only_where_scale_does_not_matter(
    order: str, activation: str, bias: bool, known: int
) -> None:
    model = network(order, activation, bias)
    optimizer = sgd(model)
    probe = StepProbe(model, optimizer)
    train(model, optimizer, range(1), probe)
    arrays = probe.arrays()
    assert np.isfinite(arrays["weight/effective_learning_rate"]).sum() == known
    np.testing.assert_array_equal(
        np.isfinite(arrays["weight/effective_learning_rate"][0]), arrays["weight/scale_invariant"]
    )


def test_other_optimisers_have_no_effective_rate_and_the_reason_says_so() -> None:
    model = network("convention")
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    probe = StepProbe(model, optimizer)
    train(model, optimizer, range(1), probe)
    arrays = probe.arrays()
    assert np.isnan(arrays["weight/effective_learning_rate"]).all()
    assert arrays["weight/reasons"][0] == "learning rate / ||w||^2 describes SGD, not Adam"
    assert np.isfinite(arrays["weight/update_ratio"]).all()


def test_what_is_not_there_is_nan() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, affine=False, track_running_stats=False), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    optimizer = optim.SGD(model[2].parameters(), lr=0.1)
    probe = StepProbe(model, optimizer)
    model(tg.randn(4, 3)).sum().backward()
    with probe.step(0):
        optimizer.step()
    arrays = probe.arrays()
    assert np.isnan(arrays["weight/gradient_norm"][0]).tolist() == [True, False]
    assert arrays["weight/update_ratio"][0, 0] == 0.0
    assert np.isnan(arrays["weight/effective_learning_rate"]).all()
    assert all(np.isnan(rows).all() for name, rows in arrays.items() if name.startswith("norm/") and rows.size > 1)
    assert np.isnan(arrays["norm/gamma_mean"]).all()


def test_a_step_that_fails_leaves_no_record() -> None:
    model = network()
    optimizer = sgd(model)
    probe = StepProbe(model, optimizer)
    train(model, optimizer, range(2), probe)
    before = probe.arrays()
    with pytest.raises(KeyboardInterrupt), probe.step(2):
        raise KeyboardInterrupt
    assert same(probe.arrays(), before)


def test_diverged_weights_are_recorded_without_a_warning() -> None:
    model = network()
    optimizer = sgd(model)
    probe = StepProbe(model, optimizer)
    train(model, optimizer, range(1), probe)
    model.features[0].conv.weight.data[:] = np.inf
    train(model, optimizer, range(1, 2), probe)
    assert probe.arrays()["weight/weight_norm"][1, 0] == math.inf
    assert np.isnan(probe.arrays()["weight/gradient_norm"][1, 0])


def test_what_is_refused() -> None:
    model = network()
    optimizer = sgd(model)
    probe = StepProbe(model, optimizer)
    with pytest.raises(GraphError, match=r"call backward\(\) before"), probe.step(0):
        optimizer.step()
    train(model, optimizer, range(4), probe)
    with pytest.raises(ArgumentError, match="a number above 3"), probe.step(3):
        optimizer.step()
    with pytest.raises(ArgumentError, match="every >= 1"):
        StepProbe(model, optimizer, every=0)


def test_arrays_of_another_network_are_refused_and_nothing_changes() -> None:
    model, other = network(), network("convention")
    probe, foreign = StepProbe(model, sgd(model)), StepProbe(other, sgd(other))
    optimizer = sgd(model)
    train(model, optimizer, range(2), probe)
    kept = probe.arrays()
    cut = {name: rows[:1] if name == "norm/beta_max" else rows for name, rows in kept.items()}
    for wrong in (foreign.arrays(), {}, cut, kept | {"step": np.zeros(2)}, kept | {"more": np.zeros(1)}):
        with pytest.raises(StateError, match=r"StepProbe\.restore"):
            probe.restore(wrong)
    assert same(probe.arrays(), kept)
