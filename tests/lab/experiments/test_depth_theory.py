"""The derived growth factors, against closed forms and against SciPy's integration."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_bn.lab.experiments.depth_theory import (
    growth_factor,
    growth_limit,
    normalizes_before_activation,
    values_and_slopes,
)
from tinygrad_bn.nn import ORDERS, parse_order


@pytest.mark.parametrize("batch_size", [4, 5, 32])
def test_linear_networks_have_the_factor_that_yang_et_al_prove(batch_size: int) -> None:
    derived = growth_factor("identity", "convention", batch_size)
    assert derived == pytest.approx((batch_size - 2) / (batch_size - 3), rel=1e-9)


@pytest.mark.parametrize("order", ["convention", "swap"])
def test_relu_comes_down_to_pi_over_pi_minus_one(order: str) -> None:
    limit = math.pi / (math.pi - 1)
    assert growth_limit("relu", order, weight_variance=2.0) == pytest.approx(limit, abs=1e-6)
    factors = [growth_factor("relu", order, batch_size) for batch_size in (8, 32, 512)]
    assert factors == sorted(factors, reverse=True)
    assert limit < factors[-1] < limit + 0.02


@pytest.mark.parametrize(("order", "variance"), [("convention", 1.0), ("swap", 2.0)])
@pytest.mark.parametrize("activation", ["tanh", "softsign"])
def test_the_limit_is_what_scipy_integrates(activation: str, order: str, variance: float) -> None:
    integrate = pytest.importorskip("scipy.integrate")

    def expectation(which: int, power: int) -> float:
        def integrand(z: float) -> float:
            values = values_and_slopes(activation, np.array([math.sqrt(variance) * z]))
            return float(values[which][0] ** power * math.exp(-z * z / 2) / math.sqrt(2 * math.pi))

        return float(integrate.quad(integrand, -10, 10, points=[0.0], limit=200)[0])

    expected = variance * expectation(1, 2) / (expectation(0, 2) - expectation(0, 1) ** 2)
    assert growth_limit(activation, order, variance) == pytest.approx(expected, rel=1e-5)


def test_large_batches_come_to_the_limit() -> None:
    for order in ("convention", "swap"):
        assert growth_factor("tanh", order, 1000, 2.0) == pytest.approx(growth_limit("tanh", order, 2.0), rel=0.01)


def test_scale_of_weights_matters_only_behind_a_bounded_activation() -> None:
    assert growth_factor("tanh", "convention", 16, 0.3) == growth_factor("tanh", "convention", 16, 3.0)
    assert growth_factor("relu", "swap", 16, 0.3) == pytest.approx(growth_factor("relu", "swap", 16, 3.0))
    assert growth_factor("tanh", "swap", 16, 3.0) > growth_factor("tanh", "swap", 16, 0.3) + 0.1


def test_six_orders_are_two_cycles() -> None:
    whole = {parse_order(word) for word in ORDERS if len(parse_order(word)) == 3}
    before = {parts for parts in whole if normalizes_before_activation("-".join(parts))}
    assert before == {("weight", "norm", "act"), ("norm", "act", "weight"), ("act", "weight", "norm")}
    assert len(whole) == 6
