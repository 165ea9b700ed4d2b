"""The pair in one call: every activation, bit for bit the two calls of which it is made, running averages included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import assert_close

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.errors import ArgumentError, GraphError
from tinygrad_bn.kernels.reference.activations import FORMULAS

SHAPES = [(6, 3), (4, 3, 2, 5), (4, 3, 6), (2, 3, 2, 2, 3)]


def _two_calls(order: str, activation: str, x: tg.Tensor, *rest: Any, **options: Any) -> tg.Tensor:
    function = getattr(F, activation)
    if order == "swap":
        return F.batch_norm(function(x), *rest, **options)
    result: tg.Tensor = function(F.batch_norm(x, *rest, **options))
    return result


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("order", ["convention", "swap"])
@pytest.mark.parametrize("activation", sorted(FORMULAS))
def test_one_call_is_two_calls(activation: str, order: str, training: bool) -> None:
    """Values, gradients, gradients of gradients and running averages, over a few steps."""
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        arrays = [2.0 * rng.standard_normal(shape), *rng.standard_normal((2, 3))]
        ones = [tg.tensor(a, requires_grad=True) for a in arrays]
        twos = [tg.tensor(a, requires_grad=True) for a in arrays]
        averages = [[tg.zeros(3, dtype="float64"), tg.ones(3, dtype="float64")] for _ in range(2)]
        for _ in range(2):
            options: dict[str, Any] = {"training": training, "momentum": 0.3, "eps": 1e-3}
            pair = {"order": order, "activation": activation}
            one = F.norm_act(ones[0], *averages[0], *ones[1:], **options, **pair)
            two = _two_calls(order, activation, twos[0], *averages[1], *twos[1:], **options)
            assert_close(one, two)
            for a, b in zip(*averages, strict=True):
                assert_close(a, b)
            slopes = [tg.grad((y * y).sum(), x, create_graph=True) for y, x in ((one, ones), (two, twos))]
            again = [
                tg.grad(sum((s * s).sum() for s in slope), x, retain_graph=True)
                for slope, x in zip(slopes, (ones, twos), strict=True)
            ]
            for y, x in ((one, ones), (two, twos)):
                (y * y).sum().backward(retain_graph=True)
                assert x[0].grad is not None
            for a, b in zip((*slopes[0], *again[0]), (*slopes[1], *again[1]), strict=True):
                assert_close(a, b)
            for x, y in zip(ones, twos, strict=True):
                assert_close(x.grad, y.grad)


def test_gradients_against_finite_differences() -> None:
    rng = np.random.default_rng(0)
    tensors = tuple(tg.tensor(rng.standard_normal(s), requires_grad=True) for s in ((4, 2, 2, 3), (2,), (2,)))
    for order in ("convention", "swap"):

        def call(x: Any, weight: Any, bias: Any, order: str = order) -> tg.Tensor:
            return F.norm_act(x, None, None, weight, bias, True, order=order, activation="mish")

        tg.testing.check_grad(call, tensors)
        tg.testing.check_gradgrad(call, tensors)


def test_a_graph_may_be_used_twice_if_it_is_retained() -> None:
    x = tg.randn(4, 3, requires_grad=True)
    y = F.norm_act(x, None, None, training=True, activation="tanh").sum()
    y.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2.0 * first)
    with pytest.raises(GraphError, match="freed by an earlier"):
        y.backward()


def test_running_averages_changed_after_an_evaluation_are_noticed() -> None:
    x, mean, variance = tg.randn(4, 3, requires_grad=True), tg.zeros(3), tg.ones(3)
    y = F.norm_act(x, mean, variance, activation="tanh")
    F.norm_act(x, mean, variance, training=True)
    with pytest.raises(GraphError, match="changed in place"):
        y.sum().backward()


def test_float32_parameters_beside_a_float16_input() -> None:
    x = tg.randn(4, 3, 5, 5, dtype="float16", requires_grad=True)
    weight, bias = tg.randn(3, requires_grad=True), tg.randn(3, requires_grad=True)
    mean, variance = tg.zeros(3), tg.ones(3)
    for training in (True, False):
        for order in ("convention", "swap"):
            y = F.norm_act(x, mean, variance, weight, bias, training, order=order, activation="tanh")
            assert y.dtype == np.float16
            for create_graph in (False, True):
                found = tg.grad(y.sum(), [x, weight, bias], create_graph=create_graph, retain_graph=True)
                assert [g.dtype for g in found] == [np.float16, np.float32, np.float32]


def test_activations_without_a_fixed_formula_are_refused_with_a_remedy() -> None:
    x = tg.randn(4, 3)
    for name in ("prelu", "rrelu"):
        with pytest.raises(ArgumentError, match=rf"fixed parameters, got '{name}'; call batch_norm and {name} one"):
            F.norm_act(x, None, None, training=True, activation=name)
    with pytest.raises(ArgumentError, match="did you mean 'tanh'"):
        F.norm_act(x, None, None, training=True, activation="tahn")
    with pytest.raises(ArgumentError, match=r"parameters of leaky_relu \(negative_slope\), got 'slope'"):
        F.norm_act(x, None, None, training=True, activation="leaky_relu", slope=0.1)
    assert set(F.ACTIVATIONS) - set(FORMULAS) == {"prelu", "rrelu"}
