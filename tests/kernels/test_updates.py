"""Optimiser updates against PyTorch's optimisers, and that they write where they should only."""

from __future__ import annotations

import numpy as np
import pytest
from compare import torch

from tinygrad_bn.backend import get_device
from tinygrad_bn.kernels import AdamSettings, SgdSettings, kernels_of

KERNELS = kernels_of(get_device("cpu"))


def _gradients(steps: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((3, 2)) for _ in range(steps)]


@pytest.mark.parametrize(
    ("momentum", "dampening", "nesterov"), [(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.3, False), (0.9, 0.0, True)]
)
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_sgd(momentum: float, dampening: float, weight_decay: float, nesterov: bool) -> None:
    parameter = np.ones((3, 2))
    reference = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([reference], 0.1, momentum, dampening, weight_decay, nesterov)
    velocity = np.zeros((3, 2)) if momentum else None
    for number, gradient in enumerate(_gradients(4)):
        before = gradient.copy()
        settings = SgdSettings(0.1, momentum, dampening, weight_decay, nesterov, number == 0)
        KERNELS.sgd(parameter, gradient, velocity, settings)
        np.testing.assert_array_equal(gradient, before)
        reference.grad = torch.tensor(gradient)
        optimizer.step()
        np.testing.assert_allclose(parameter, reference.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(weight_decay: float, decoupled: bool) -> None:
    parameter = np.ones((3, 2))
    reference = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    make = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = make([reference], 0.1, (0.8, 0.95), 1e-6, weight_decay)
    mean, square = np.zeros((3, 2)), np.zeros((3, 2))
    for number, gradient in enumerate(_gradients(5), start=1):
        before = gradient.copy()
        settings = AdamSettings(number, 0.1, (0.8, 0.95), 1e-6, weight_decay, decoupled)
        KERNELS.adam(parameter, gradient, mean, square, settings)
        np.testing.assert_array_equal(gradient, before)
        reference.grad = torch.tensor(gradient)
        optimizer.step()
        np.testing.assert_allclose(parameter, reference.detach().numpy(), rtol=1e-9)


def test_blend() -> None:
    target, source = np.array([1.0, 2.0], dtype="float32"), np.array([3.0, 4.0])
    KERNELS.blend(target, source, 0.25)
    np.testing.assert_allclose(target, [1.5, 2.5])
    assert target.dtype == np.float32
    np.testing.assert_array_equal(source, [3.0, 4.0])
