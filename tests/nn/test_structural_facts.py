"""What BatchNorm's place implies, whatever the data: the facts that the laboratory's results rest on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn


def block(order: str, activation: str) -> Any:
    tg.manual_seed(0)
    made = nn.ConvBlock(3, 4, 3, order=order, activation=activation).double()
    with tg.no_grad():
        made.norm.weight.assign_([1.5, 0.5, -1.0, 2.0])
        made.norm.bias.assign_([0.1, -0.2, 0.3, 0.0])
    return made


@pytest.fixture
def images() -> tg.Tensor:
    return tg.randn(6, 3, 8, 8, dtype="float64")


def loss_of(output: tg.Tensor) -> tg.Tensor:
    weights = np.random.default_rng(1).standard_normal(output.shape)
    return (output * tg.tensor(weights)).sum()


@pytest.mark.parametrize(("order", "redundant"), [("convention", True), ("swap", False), ("preact", False)])
def test_a_bias_right_before_batch_norm_has_no_gradient(order: str, redundant: bool, images: tg.Tensor) -> None:
    if order == "preact":
        made = nn.ConvBlock(3, 4, 3, order=order, activation="tanh").double()
    else:
        made = block(order, "tanh")
    loss_of(made(images)).backward()
    size = np.abs(made.conv.bias.grad.numpy()).max()
    assert size < 1e-10 if redundant else size > 1e-2


@pytest.mark.parametrize(
    ("order", "activation", "invariant"),
    [
        ("convention", "tanh", True),
        ("convention", "softsign", True),
        ("convention", "relu", True),
        ("swap", "relu", True),
        ("swap", "leaky_relu", True),
        ("swap", "tanh", False),
        ("swap", "softsign", False),
    ],
)
def test_where_the_scale_of_the_weights_does_not_matter(
    order: str, activation: str, invariant: bool, images: tg.Tensor
) -> None:
    made = block(order, activation)
    made.norm.eps = 1e-12  # eps breaks the invariance, a little
    before = made(images).numpy()
    with tg.no_grad():
        made.conv.weight.assign_(made.conv.weight * 5.0)
        made.conv.bias.assign_(made.conv.bias * 5.0)
    difference = np.abs(made(images).numpy() - before).max()
    assert difference < 1e-8 if invariant else difference > 0.1


def test_scale_invariance_makes_the_gradient_orthogonal_to_the_weights(images: tg.Tensor) -> None:
    """The derivative of f(c w) by c at c = 1 is <w, grad f>: zero where the scale of w does not matter."""
    for order, orthogonal in (("convention", True), ("swap", False)):
        made = block(order, "tanh")
        made.norm.eps = 1e-12
        loss_of(made(images)).backward()
        inner = abs((made.conv.weight.grad.numpy() * made.conv.weight.numpy()).sum())
        assert inner < 1e-8 if orthogonal else inner > 1e-2


@pytest.mark.parametrize("name", sorted(n for n, a in F.ACTIVATIONS.items() if a.monotone))
def test_max_pooling_commutes_with_monotone_activations(name: str, images: tg.Tensor) -> None:
    act = nn.activation(name).double().eval()
    np.testing.assert_array_equal(F.max_pool2d(act(images), 2).numpy(), act(F.max_pool2d(images, 2)).numpy())


def test_max_pooling_commutes_with_batch_norm_only_where_gamma_is_not_negative(images: tg.Tensor) -> None:
    norm = nn.BatchNorm2d(3).double().eval()
    with tg.no_grad():
        norm.weight.assign_([2.0, 0.0, -1.0])
        norm.running_mean.assign_([0.3, -0.1, 0.2])
        norm.running_var.assign_([2.0, 0.5, 1.0])
    pooled_after = F.max_pool2d(norm(images), 2).numpy()
    pooled_before = norm(F.max_pool2d(images, 2)).numpy()
    np.testing.assert_allclose(pooled_after[:, :2], pooled_before[:, :2], atol=1e-12)
    assert np.abs(pooled_after[:, 2] - pooled_before[:, 2]).max() > 0.5
    # A negative scale turns it into a min-pool.
    min_pooled = norm(-F.max_pool2d(-images, 2)).numpy()
    np.testing.assert_allclose(pooled_after[:, 2], min_pooled[:, 2], atol=1e-12)


def test_relu_before_or_after_batch_norm() -> None:
    """z ~ N(0, 1): relu has mean .3989 and deviation .5838; BN of it has no zeros and a floor of -.6833."""
    z = tg.randn(1_000_000, 1, dtype="float64")
    norm = nn.BatchNorm1d(1).double()
    rectified = F.relu(z)
    assert rectified.mean().item() == pytest.approx(0.3989, abs=2e-3)
    assert rectified.std().item() == pytest.approx(0.5838, abs=2e-3)
    swapped, conventional = norm(rectified).numpy(), F.relu(norm(z)).numpy()
    assert swapped.min() == pytest.approx(-0.6833, abs=2e-3)
    assert (swapped == 0).mean() == 0.0
    assert (conventional == 0).mean() == pytest.approx(0.5, abs=2e-3)
