"""Mistakes that BatchNorm implementations have been known to make, one test each, through the layer that users meet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn import nn


def _layers(**arguments) -> tuple[nn.BatchNorm2d, torch.nn.BatchNorm2d]:
    """The same layer of both libraries, with the same trained values in it."""
    rng = np.random.default_rng(0)
    ours, theirs = nn.BatchNorm2d(3, **arguments), torch.nn.BatchNorm2d(3, **arguments)
    for name in ("weight", "bias", "running_mean", "running_var"):
        values = (0.5 + rng.random(3)).astype("float32")
        with tg.no_grad():
            getattr(ours, name).assign_(values)
        getattr(theirs, name).data = torch.tensor(values)
    return ours, theirs


def _images(seed: int = 0, shape: tuple[int, ...] = (4, 3, 5, 5)) -> np.ndarray:
    return (2.0 + 3.0 * np.random.default_rng(seed).standard_normal(shape)).astype("float32")


@pytest.mark.parametrize("training", [True, False])
def test_backward_in_evaluation_is_another_derivative_than_in_training(training: bool) -> None:
    ours, theirs = (layer.train(training) for layer in _layers())
    x, reference = tg.tensor(_images(), requires_grad=True), torch.tensor(_images(), requires_grad=True)
    start = _images(1)
    ours(x).backward(start)
    theirs(reference).backward(torch.tensor(start))
    np.testing.assert_allclose(x.grad.numpy(), reference.grad.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-4)
    np.testing.assert_allclose(ours.bias.grad.numpy(), theirs.bias.grad.numpy(), rtol=1e-4)
    # In training the gradient of a channel sums to nothing; in evaluation it does not.
    sums = np.abs(x.grad.numpy().sum(axis=(0, 2, 3)))
    assert (sums < 1e-4).all() if training else (sums > 1e-2).all()


def test_eps_is_counted_once() -> None:
    layer = nn.BatchNorm1d(1, eps=3.0)
    x = tg.tensor([[-1.0], [1.0]])  # variance 1, so the output is 1 / sqrt(1 + 3), not 1 / (1 + sqrt 3) or the like
    np.testing.assert_allclose(layer(x).numpy(), [[-0.5], [0.5]], rtol=1e-6)


def test_the_running_variance_is_the_unbiased_one_and_the_normalising_one_is_not() -> None:
    layer = nn.BatchNorm1d(1, momentum=1.0, eps=1e-12)
    y = layer(tg.tensor([[1.0], [2.0], [6.0]]))
    assert layer.running_var.item() == pytest.approx(7.0)  # 14 / 2
    assert (y.numpy() ** 2).mean() == pytest.approx(1.0, rel=1e-5)  # 14 / 3 normalises


def test_momentum_weights_the_new_value() -> None:
    layer = nn.BatchNorm1d(1, momentum=0.1)
    layer(tg.tensor([[9.0], [11.0]]))
    assert layer.running_mean.item() == pytest.approx(1.0)  # 0.9 * 0 + 0.1 * 10, not 9
    assert layer.running_var.item() == pytest.approx(0.9 * 1.0 + 0.1 * 2.0)


def test_momentum_of_none_is_the_plain_average() -> None:
    layer = nn.BatchNorm1d(1, momentum=None)
    for low in (0.0, 2.0, 10.0):
        layer(tg.tensor([[low], [low + 2.0]]))
    assert layer.running_mean.item() == pytest.approx((1.0 + 3.0 + 11.0) / 3)


def test_the_variance_is_not_taken_in_one_pass() -> None:
    """E[x^2] - E[x]^2 is negative here in float32, and its root NaN."""
    x = 4096.0 + np.random.default_rng(0).choice([-0.25, 0.25], (64, 1)).astype("float32")
    layer = nn.BatchNorm1d(1, momentum=1.0, eps=1e-12)
    y = layer(tg.tensor(x))
    assert np.isfinite(y.numpy()).all()
    assert layer.running_var.item() == pytest.approx(x.astype("float64").var(ddof=1), rel=1e-3)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 3)])
def test_one_value_per_channel_is_an_error_that_changes_nothing(shape: tuple[int, ...]) -> None:
    layer = nn.BatchNorm2d(3) if len(shape) == 4 else nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match=r"at least 2 values per channel.*eval\(\)"):
        layer(tg.ones(*shape))
    assert layer.running_mean.tolist() == [0.0, 0.0, 0.0]
    assert layer.num_batches_tracked.item() == 0
    assert layer.eval()(tg.ones(*shape)).shape == shape


LOOKS: dict[str, Callable[[nn.Module, tg.Tensor], object]] = {
    "summary": lambda model, x: model.summary(x),
    "drawing": lambda model, x: tg.viz.draw(model, x).source,
    "printing": lambda model, x: repr(model),
    "saving": lambda model, x: model.state_dict(),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_looking_at_a_model_does_not_train_its_averages(look: Callable[[nn.Module, tg.Tensor], object]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.ReLU())
    model.train()
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    state = tg.backend.default_generator.get_state()
    look(model, tg.tensor(_images(shape=(4, 1, 6, 6))))
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name], err_msg=name)
    assert all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert tg.backend.default_generator.get_state() == state


def test_no_grad_is_not_evaluation() -> None:
    layer = nn.BatchNorm2d(3)
    x = tg.tensor(_images())
    with tg.no_grad():
        y = layer(x)
    assert abs(y.numpy().mean()) < 1e-5  # normalised with the batch, not with averages of 0 and 1
    assert layer.running_mean.numpy().max() > 0.1
    layer.eval()
    x.requires_grad_()
    assert layer(x).requires_grad  # and evaluation records
