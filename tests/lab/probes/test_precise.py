"""Precise BatchNorm statistics against PyTorch's, with the same weights and batches."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, StateError
from tinygrad_bn.lab.probes import Statistics, precise_statistics, running_distances, with_statistics

IMAGES = np.random.default_rng(2).normal(loc=1.0, size=(60, 1, 8, 8)).astype(np.float32)
UNEQUAL = np.split(IMAGES, [20, 33, 35])
EQUAL = np.split(IMAGES, 4)


def small_cnn(order: str = "convention", activation: str = "relu") -> nn.Module:
    tg.manual_seed(0)
    return nn.SmallCNN(1, 4, 8, width=3, order=order, activation=activation)


def tensors(batches: list[np.ndarray]) -> list[tg.Tensor]:
    return [tg.tensor(batch) for batch in batches]


def everything_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def inputs_in_pytorch(model: nn.Module, batches: list[np.ndarray]) -> dict[str, np.ndarray]:
    """All that each BatchNorm of the twin sees in training mode, of shape (channels, values)."""
    torch = pytest.importorskip("torch")
    from twins import twin_of

    twin = twin_of(model).train()
    seen: dict[str, list[np.ndarray]] = {}

    def look(name: str) -> object:
        def record(module: object, arguments: tuple[object, ...]) -> None:
            values = np.moveaxis(arguments[0].numpy().astype(np.float64), 1, 0)
            seen.setdefault(name, []).append(values.reshape(len(values), -1))

        return record

    for name, module in twin.named_modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(look(name))
    with torch.no_grad():
        for batch in batches:
            twin(torch.from_numpy(batch))
    return {name: np.concatenate(parts, axis=1) for name, parts in seen.items()}


@pytest.mark.parametrize(("order", "activation"), [("convention", "relu"), ("swap", "tanh"), ("preact", "softsign")])
def test_they_are_those_of_all_values_that_pytorch_sees_in_training(order: str, activation: str) -> None:
    model = small_cnn(order, activation)
    found = precise_statistics(model, tensors(UNEQUAL))
    expected = inputs_in_pytorch(model, UNEQUAL)
    assert list(found) == list(expected)
    assert len(found) == 5
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].mean, values.mean(axis=1), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[name].variance, values.var(axis=1, ddof=1), rtol=1e-4)


def test_with_batches_of_one_size_the_mean_is_pytorchs_cumulative_average() -> None:
    torch = pytest.importorskip("torch")
    from twins import twin_of

    model = small_cnn()
    found = precise_statistics(model, tensors(EQUAL))
    twin = twin_of(model).train()
    norms = {name: module for name, module in twin.named_modules() if hasattr(module, "running_mean")}
    for norm in norms.values():
        norm.momentum = None
    with torch.no_grad():
        for batch in EQUAL:
            twin(torch.from_numpy(batch))
    for name, norm in norms.items():
        np.testing.assert_allclose(found[name].mean, norm.running_mean.numpy(), rtol=1e-4, atol=1e-5)
        # An average of variances leaves out what lies between batches; the last layers have 60 values in 4 batches.
        assert (found[name].variance > 0.999 * (60 - 4) / (60 - 1) * norm.running_var.numpy()).all()


def test_running_averages_do_not_matter_even_when_they_are_not_finite() -> None:
    model, spoiled = small_cnn(), small_cnn()
    for norm in spoiled.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.assign_(np.full(norm.num_features, np.nan, dtype=np.float32))
    one, other = (precise_statistics(each, tensors(UNEQUAL)) for each in (model, spoiled))
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def test_nothing_is_left_behind() -> None:
    model = small_cnn()
    model.add_module("dropout", nn.Dropout(0.5))
    model(tg.tensor(IMAGES))
    model.eval()
    calls: list[int] = []
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    norm.momentum = 0.3
    norm.register_forward_hook(lambda module, arguments, output: calls.append(1))
    before, random_state = everything_of(model), str(tg.backend.default_generator.get_state())
    precise_statistics(model, tensors(EQUAL))
    with pytest.raises(RuntimeError, match="no more"):
        precise_statistics(model, failing())
    for name, array in everything_of(model).items():
        np.testing.assert_array_equal(array, before[name])
    assert not any(module.training for module in model.modules())
    assert (norm.momentum, calls) == (0.3, [])
    assert len(norm._forward_hooks) == 1
    assert str(tg.backend.default_generator.get_state()) == random_state


def failing() -> object:
    yield tg.tensor(IMAGES)
    raise RuntimeError("no more")


def test_dropout_drops_nothing() -> None:
    model = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(3))
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    found = precise_statistics(model, [tg.tensor(values)])["1"]
    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.variance, values.var(axis=0, ddof=1), rtol=1e-5)


def test_pairs_of_images_and_labels_are_batches_too() -> None:
    model = small_cnn()
    with_labels = [(batch, tg.zeros(len(batch))) for batch in tensors(EQUAL)]
    one, other = precise_statistics(model, with_labels), precise_statistics(model, tensors(EQUAL))
    np.testing.assert_array_equal(one["features.0.norm"], other["features.0.norm"])


def test_no_batch_and_no_batch_norm() -> None:
    with pytest.raises(ArgumentError, match=r"in precise_statistics: expected at least one batch, got none"):
        precise_statistics(small_cnn(), [])
    assert precise_statistics(nn.Sequential(nn.Linear(2, 2)), [tg.zeros(3, 2)]) == {}


def test_a_model_evaluates_with_them_and_then_with_its_own_again() -> None:
    model = small_cnn().eval()
    before = everything_of(model)
    one_batch = tg.tensor(IMAGES)
    found = precise_statistics(model, [one_batch])
    with tg.no_grad():
        running = model(one_batch).numpy().copy()
        with with_statistics(model, found):
            precise = model(one_batch).numpy().copy()
        again = model(one_batch).numpy().copy()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.train()
        training = model(one_batch).numpy()
    np.testing.assert_array_equal(again, running)
    # With one batch they are the batch's own, but for the unbiased variance (of 60 values in the last layers).
    np.testing.assert_allclose(precise, training, rtol=0.05, atol=0.02)
    assert np.abs(running - training).max() > 0.2
    model = small_cnn()
    with pytest.raises(RuntimeError, match="inside"), with_statistics(model, found):
        raise RuntimeError("inside")
    for name, array in everything_of(model).items():
        np.testing.assert_array_equal(array, before[name])


def test_distances_of_running_averages() -> None:
    norm = nn.BatchNorm1d(2, eps=1e-5)
    model = nn.Sequential(norm)
    norm.running_mean.assign_(np.array([1.0, 5.0], dtype=np.float32))
    norm.running_var.assign_(np.array([4.0, 0.0], dtype=np.float32))
    same = {"0": Statistics(np.array([1.0, 5.0]), np.array([4.0, 0.0]))}
    assert running_distances(model, same) == {"0": (0.0, 0.0)}
    # One deviation of 2 away, and half the variance; a channel that never changes counts with eps alone.
    other = {"0": Statistics(np.array([3.0, 5.0]), np.array([4.0, 0.0]))}
    assert running_distances(model, other)["0"] == pytest.approx((0.5, 0.0), rel=1e-5)
    other = {"0": Statistics(np.array([1.0, 5.0]), np.array([2.0, 0.0]))}
    assert running_distances(model, other)["0"] == pytest.approx((0.0, np.log(2.0) / 2.0), rel=1e-5)


def test_running_averages_come_near_when_the_weights_stand_still() -> None:
    model = small_cnn()
    found = precise_statistics(model, tensors(EQUAL))
    far = running_distances(model, found)
    for _ in range(30):
        for batch in tensors(EQUAL):
            model(batch)
    near = running_distances(model, found)
    assert all(near[name].mean < 0.1 and near[name].variance < 0.1 for name in found)
    assert all(far[name].variance > near[name].variance for name in found)


def test_statistics_of_another_model_are_refused_before_anything_changes() -> None:
    model = small_cnn()
    before = everything_of(model)
    found = precise_statistics(model, tensors(EQUAL))
    foreign = found | {"nowhere": found["features.0.norm"]}
    with (
        pytest.raises(StateError, match=r"in with_statistics: expected statistics of the model's BatchNorms .*nowhere"),
        with_statistics(model, foreign),
    ):
        pass
    wrong = found | {"features.0.norm": Statistics(np.zeros(7), np.ones(7))}
    with pytest.raises(StateError, match=r"in running_distances: expected mean and variance of .* of shape \(3,\)"):
        running_distances(model, wrong)
    for name, array in everything_of(model).items():
        np.testing.assert_array_equal(array, before[name])
