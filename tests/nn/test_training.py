"""A whole training, step by step, beside PyTorch's: the losses agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import torch
from twins import twin_of

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn

STEPS = 10


def losses(model: Any, optimizer: Any, cross_entropy: Any, tensor: Any, dtype: str) -> tuple[list[float], float]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, (STEPS, 32))
    # Images that can be learnt: a class is a position of a bright square.
    images = 0.3 * rng.standard_normal((STEPS, 32, 1, 12, 12))
    for step, row in np.ndindex(STEPS, 32):
        images[step, row, 0, labels[step, row], :] += 2.0
    found = []
    for x, y in zip(images.astype(dtype), labels, strict=True):
        optimizer.zero_grad()
        loss = cross_entropy(model(tensor(x)), tensor(y))
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    model.eval()
    return found, float(cross_entropy(model(tensor(images[0].astype(dtype))), tensor(labels[0])).detach())


@pytest.mark.parametrize(
    ("activation", "dtype", "tolerance"),
    # relu's kink amplifies rounding: within ten float32 steps PyTorch can drift from its own float64 by more than 1e-4.
    [("tanh", "float32", 1e-4), ("tanh", "float64", 1e-10), ("relu", "float64", 1e-10)],
)
@pytest.mark.parametrize("order", ["convention", "swap"])
def test_losses_are_pytorchs(order: str, activation: str, dtype: str, tolerance: float) -> None:
    tg.manual_seed(0)
    ours = nn.SmallCNN(image_size=12, width=4, order=order, activation=activation).to(dtype=dtype)
    theirs = twin_of(ours)
    settings: dict[str, Any] = {"lr": 0.02, "momentum": 0.9, "weight_decay": 5e-4}
    trained, evaluated = losses(ours, tg.optim.SGD(ours.parameters(), **settings), F.cross_entropy, tg.Tensor, dtype)
    expected, expected_evaluated = losses(
        theirs,
        torch.optim.SGD(theirs.parameters(), **settings),
        torch.nn.functional.cross_entropy,
        torch.tensor,
        dtype,
    )
    np.testing.assert_allclose(trained, expected, rtol=0, atol=tolerance)
    assert evaluated == pytest.approx(expected_evaluated, abs=10 * tolerance)
    assert trained[-1] < 0.7 * trained[0]
