"""Saving and loading a module's state."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import DTypeError, GraphError, StateError


def model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def test_keys_are_pytorchs() -> None:
    assert list(model().state_dict()) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
        "3.weight",
        "3.bias",
    ]
    assert list(nn.Linear(1, 1).state_dict(prefix="head.")) == ["head.weight", "head.bias"]


def test_a_state_is_a_snapshot() -> None:
    net = model()
    state = net.state_dict()
    assert not any(tensor.requires_grad for tensor in state.values())
    before = state["0.weight"].numpy().copy()
    with tg.no_grad():
        net[0].weight.assign_(0.0)
    np.testing.assert_array_equal(state["0.weight"].numpy(), before)
    net.load_state_dict(state)
    np.testing.assert_array_equal(net[0].weight.numpy(), before)


def test_round_trip_gives_the_same_output() -> None:
    source, target = model(), model()
    images = tg.randn(5, 1, 4, 4)
    source(images)
    identity = [id(p) for p in target.parameters()]
    assert target.load_state_dict(source.state_dict()) == ([], [])
    assert [id(p) for p in target.parameters()] == identity
    assert target[1].num_batches_tracked.item() == 1
    np.testing.assert_array_equal(target.eval()(images).numpy(), source.eval()(images).numpy())


def test_arrays_of_other_libraries_are_loaded_and_copied() -> None:
    layer = nn.Linear(2, 1)
    weight = np.array([[3.0, 4.0]])
    layer.load_state_dict({"weight": weight, "bias": np.float64(1.0).reshape(1)})
    weight[:] = 0.0
    assert layer.weight.tolist() == [[3.0, 4.0]]
    assert str(layer.weight.dtype) == "float32"


def test_everything_that_does_not_fit_is_listed_and_nothing_is_loaded() -> None:
    net = model()
    before = {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}
    state = {name: tensor * 0 for name, tensor in net.state_dict().items()}
    del state["1.running_mean"]
    state["3.weight"] = tg.zeros(3, 9)
    state["1.num_batches_tracked"] = tg.tensor(1.5)
    state["extra"] = tg.zeros(1)
    with pytest.raises(StateError) as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    assert "Sequential.load_state_dict" in message
    assert "missing: 1.running_mean" in message
    assert "unexpected: extra" in message
    assert "3.weight of shape (3, 9) and dtype float32 instead of (3, 8) float32" in message
    assert "1.num_batches_tracked of shape () and dtype float32 instead of () int64" in message
    assert "nothing was loaded" in message
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_not_strict_allows_names_but_no_shapes() -> None:
    layer = nn.Linear(2, 1)
    result = layer.load_state_dict({"weight": tg.ones(1, 2), "other": tg.ones(1)}, strict=False)
    assert result.missing_keys == ["bias"]
    assert result.unexpected_keys == ["other"]
    assert layer.weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(StateError, match="not fitting: weight"):
        layer.load_state_dict({"weight": tg.ones(2, 1)}, strict=False)


def test_values_that_are_no_tensors() -> None:
    with pytest.raises(StateError, match="weight to be a tensor or an array, got str"):
        nn.Linear(2, 1).load_state_dict({"weight": "zeros", "bias": tg.zeros(1)})
    with pytest.raises(DTypeError, match="a mapping"):
        nn.Linear(2, 1).load_state_dict([tg.zeros(1)])  # type: ignore[arg-type]


def test_loading_during_a_recorded_step_is_noticed() -> None:
    layer = nn.Linear(2, 2)
    second = nn.Linear(2, 2)
    loss = second(layer(tg.ones(1, 2))).sum()
    second.load_state_dict(layer.state_dict())
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_a_state_of_the_modules_own_tensors() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter([1.0]), nn.Parameter([2.0])

    pair = Pair()
    pair.load_state_dict({"a": pair.b, "b": pair.a})
    assert (pair.a.item(), pair.b.item()) == (2.0, 1.0)
    pair.load_state_dict({"a": pair.b.numpy(), "b": pair.a.numpy()})
    assert (pair.a.item(), pair.b.item()) == (1.0, 2.0)
