"""Gradient clipping beside PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn import optim
from tinygrad_bn.errors import ArgumentError, DTypeError, GraphError


def parameters(scale: float = 1.0) -> tuple[list[tg.Tensor], list[Any]]:
    rng = np.random.default_rng(0)
    arrays = [scale * rng.standard_normal(shape) for shape in ((3, 4), (5,), ())]
    ours = [tg.tensor(np.zeros(a.shape), requires_grad=True) for a in arrays]
    theirs = [torch.zeros(a.shape, dtype=torch.float64, requires_grad=True) for a in arrays]
    for tensor, other, array in zip(ours, theirs, arrays, strict=True):
        (tensor * tg.tensor(array)).sum().backward()
        other.grad = torch.tensor(array)
    ours.append(tg.zeros(2, requires_grad=True))  # without a gradient
    return ours, theirs


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.1, 1.0, 1000.0])
def test_norms_are_pytorchs(norm_type: float, max_norm: float) -> None:
    ours, theirs = parameters()
    norm = optim.clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert norm.item() == pytest.approx(float(expected), rel=1e-12)
    for a, b in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12)


def test_values_are_pytorchs() -> None:
    ours, theirs = parameters()
    optim.clip_grad_value_(ours, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for a, b in zip(ours, theirs, strict=False):
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())


def test_gradients_that_share_memory_are_scaled_once() -> None:
    a, b = (tg.tensor([3.0], requires_grad=True) for _ in range(2))
    (a + b).backward(tg.tensor([4.0]))
    assert optim.clip_grad_norm_([a, b], 1.0).item() == pytest.approx(math.sqrt(32.0))
    assert a.grad.item() == b.grad.item() == pytest.approx(math.sqrt(0.5))


def test_a_norm_that_is_not_finite() -> None:
    w = tg.tensor([1.0], requires_grad=True)
    (w * math.inf).sum().backward()
    with pytest.raises(GraphError, match="a finite norm, got inf"):
        optim.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
    assert w.grad.item() == math.inf
    assert optim.clip_grad_norm_(w, 1.0).item() == math.inf
    assert math.isnan(w.grad.item())


def test_without_gradients_the_norm_is_zero() -> None:
    assert optim.clip_grad_norm_([tg.zeros(2, requires_grad=True)], 1.0).item() == 0.0
    assert optim.clip_grad_norm_([], 1.0, math.inf).item() == 0.0


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda w: optim.clip_grad_norm_([w], 0.0), "max_norm to be a number > 0"),
        (lambda w: optim.clip_grad_norm_([w], 1.0, -1.0), "norm_type to be a number > 0"),
        (lambda w: optim.clip_grad_value_([w], -1.0), "clip_value to be a number > 0"),
        (lambda w: optim.clip_grad_norm_([np.zeros(2)], 1.0), "parameters that are Tensors"),
    ],
)
def test_wrong_calls(call: Any, complaint: str) -> None:
    with pytest.raises((ArgumentError, DTypeError), match=complaint):
        call(tg.zeros(2, requires_grad=True))


def test_a_parameter_that_is_given_twice_counts_once() -> None:
    (p, *_), _ = parameters(scale=10.0)
    expected = float(np.linalg.norm(p.grad.numpy()))
    assert optim.clip_grad_norm_([p, p], 1.0).item() == pytest.approx(expected)
    assert np.linalg.norm(p.grad.numpy()) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_parameters_that_are_none(clip: Any) -> None:
    with pytest.raises(DTypeError, match=r"in clip_grad_.*_: expected parameters.*got 5"):
        clip(5, 1.0)


def test_nothing_is_read_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = parameters()
    for name in ("item", "__bool__", "__float__", "numpy"):
        monkeypatch.setattr(tg.Tensor, name, None)
    optim.clip_grad_norm_(ours, 0.1)
    optim.clip_grad_value_(ours, 0.1)


def test_gradients_whose_norm_is_small_keep_their_bits() -> None:
    ours, _ = parameters()
    before = [p.grad.numpy().copy() for p in ours[:3]]
    optim.clip_grad_norm_(ours, 100.0)
    for p, expected in zip(ours, before, strict=False):
        np.testing.assert_array_equal(p.grad.numpy(), expected)
