"""Initialisers: against PyTorch's formulas, and statistically."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_bn.nn import init

SHAPE = (64, 32, 3, 3)
FAN_IN, FAN_OUT = 32 * 9, 64 * 9


def standard_deviation_of_uniform(bound: float) -> float:
    return bound / math.sqrt(3.0)


@pytest.mark.parametrize(
    ("fill", "std", "uniform"),
    [
        (lambda t: init.kaiming_uniform_(t, nonlinearity="relu"), math.sqrt(2 / FAN_IN), True),
        (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / FAN_OUT), False),
        (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), math.sqrt(1 / 3 / FAN_IN), True),
        (lambda t: init.xavier_uniform_(t, gain=2.0), 2 * math.sqrt(2 / (FAN_IN + FAN_OUT)), True),
        (lambda t: init.xavier_normal_(t), math.sqrt(2 / (FAN_IN + FAN_OUT)), False),
        (lambda t: init.lecun_uniform_(t), math.sqrt(1 / FAN_IN), True),
        (lambda t: init.lecun_normal_(t), math.sqrt(1 / FAN_IN), False),
        (lambda t: init.normal_(t, std=0.5), 0.5, False),
        (lambda t: init.uniform_(t, -3.0, 3.0), math.sqrt(3.0), True),
    ],
)
def test_mean_and_spread(fill: Callable[[tg.Tensor], Any], std: float, uniform: bool) -> None:
    tensor = nn.Parameter(tg.zeros(*SHAPE))
    assert fill(tensor) is tensor
    values = tensor.numpy()
    n = values.size
    assert abs(values.mean()) < 5 * std / math.sqrt(n)
    assert values.std() == pytest.approx(std, rel=5 / math.sqrt(n))
    # A uniform distribution ends at sqrt(3) standard deviations, a normal one of this size does not.
    largest = np.abs(values).max() / std
    assert largest == pytest.approx(math.sqrt(3.0), rel=1e-3) if uniform else largest > 3.5


def test_formulas_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    shape = (200, 100)
    for name, settings in [
        ("kaiming_uniform_", {"nonlinearity": "tanh", "mode": "fan_out"}),
        ("kaiming_normal_", {"a": 0.3}),
        ("xavier_uniform_", {"gain": 1.5}),
        ("xavier_normal_", {}),
        ("trunc_normal_", {"std": 0.7, "a": -1.0, "b": 0.5}),
    ]:
        torch.manual_seed(0)
        theirs = getattr(torch.nn.init, name)(torch.empty(shape), **settings).numpy()
        ours = getattr(init, name)(tg.zeros(*shape), **settings).numpy()
        grid = np.linspace(0.02, 0.98, 50)
        np.testing.assert_allclose(
            np.quantile(ours, grid), np.quantile(theirs, grid), atol=0.1 * theirs.std(), err_msg=name
        )


def test_truncated_normal_stays_inside() -> None:
    values = init.trunc_normal_(tg.zeros(10_000), mean=1.0, std=2.0, a=0.0, b=1.5).numpy()
    assert 0.0 <= values.min() < values.max() <= 1.5
    with pytest.raises(ArgumentError, match="near the mean"):
        init.trunc_normal_(tg.zeros(3), a=50.0, b=60.0)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (8, 3, 2, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = init.orthogonal_(tg.zeros(*shape, dtype="float64"), gain=2.0).numpy().reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4.0 * np.eye(min(matrix.shape)), atol=1e-12)


def test_constants() -> None:
    assert init.constant_(tg.zeros(2), 3.0).tolist() == [3.0, 3.0]
    assert init.zeros_(init.ones_(tg.zeros(2))).tolist() == [0.0, 0.0]


def test_gains_are_pytorchs_where_it_has_them() -> None:
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)
    assert init.calculate_gain("leaky_relu", 0.0) == math.sqrt(2.0)


@pytest.mark.parametrize("name", sorted(set(F.ACTIVATIONS) - {"sigmoid", "tanh", "selu"}))
def test_every_other_gain_keeps_the_mean_square(name: str) -> None:
    integrate = pytest.importorskip("scipy.integrate")

    def integrand(z: float) -> float:
        value = float(F.ACTIVATIONS[name].function(tg.tensor(z, dtype="float64")).item())
        return value * value * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    mean_square = integrate.quad(integrand, -10, 10, points=(-3, -1, 0, 1, 3, 6), limit=200)[0]
    assert init.calculate_gain(name) == pytest.approx(1 / math.sqrt(mean_square), rel=1e-6)


def test_layers_start_as_in_pytorch() -> None:
    """Uniform within 1 / sqrt(fan_in): weights and biases."""
    for layer, fan_in in (
        (nn.Conv2d(16, 64, 3, groups=2), 8 * 9),
        (nn.Linear(100, 400), 100),
        (nn.ConvTranspose2d(64, 16, 3), 16 * 9),
    ):
        bound = 1 / math.sqrt(fan_in)
        for parameter in layer.parameters():
            largest = np.abs(parameter.numpy()).max()
            assert 0.8 * bound < largest <= bound
        assert layer.weight.numpy().std() == pytest.approx(standard_deviation_of_uniform(bound), rel=0.03)
        before = layer.weight.numpy().copy()
        layer.reset_parameters()
        assert not np.array_equal(layer.weight.numpy(), before)


def test_a_seed_repeats_everything() -> None:
    def state() -> list[np.ndarray]:
        tg.manual_seed(3)
        return [t.numpy() for t in nn.SmallCNN(width=2).state_dict().values()]

    for a, b in zip(state(), state(), strict=True):
        np.testing.assert_array_equal(a, b)
    own = tg.Generator(5)
    tg.manual_seed(1)
    a = init.normal_(tg.zeros(3), generator=own).tolist()
    tg.manual_seed(2)
    assert init.normal_(tg.zeros(3), generator=tg.Generator(5)).tolist() == a


def test_what_cannot_be_initialised() -> None:
    with pytest.raises(ShapeError, match="at least 2 axes"):
        init.kaiming_uniform_(tg.zeros(3))
    with pytest.raises(ShapeError, match="at least 2 axes"):
        init.orthogonal_(tg.zeros(3))
    with pytest.raises(DTypeError, match="floating-point Tensor"):
        init.zeros_(tg.zeros(3, dtype="int64"))
    with pytest.raises(ArgumentError, match="did you mean 'fan_in'"):
        init.kaiming_normal_(tg.zeros(3, 3), mode="fanin")
    with pytest.raises(ArgumentError, match="did you mean 'relu'"):
        init.calculate_gain("rellu")
    with pytest.raises(ShapeError, match="not empty"):
        init.xavier_normal_(tg.zeros(0, 0))
