"""The gradient checker must find wrong gradients, name kinks, and accept right ones."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.errors import ArgumentError, DTypeError
from tinygrad_bn.testing import GradientCheckError, check_grad, check_gradgrad


class Scaled(tg.Function):
    """x^3 with a derivative that is wrong by a factor."""

    factor = 1.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @classmethod
    def backward(cls, ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3.0 * x * x * cls.factor


def scaled(factor: float) -> type[tg.Function]:
    return type("Scaled", (Scaled,), {"factor": factor})


class RightOnce(tg.Function):
    """x^3 whose first derivative is right and cut off from the graph, so that the second one is lost."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, grad):
        x = ctx.saved_tensors[0].detach()
        return grad * 3.0 * x * x


def points(*shape: int, seed: int = 0) -> tg.Tensor:
    return tg.tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def test_right_gradient_passes_with_a_small_error() -> None:
    report = check_grad(scaled(1.0).apply, [points(4, 3)])
    assert report.largest_error < 1e-8
    assert report.directions == 3


@pytest.mark.parametrize("factor", [1.001, 0.5, -1.0, 0.0])
def test_wrong_gradient_is_found(factor: float) -> None:
    with pytest.raises(GradientCheckError, match="in check_grad: expected the derivative"):
        check_grad(scaled(factor).apply, [points(4, 3)])


def test_gradient_of_one_wrong_element_is_found() -> None:
    class OneOff(tg.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2.0

        @staticmethod
        def backward(ctx, grad):
            mask = np.full(grad.shape, 2.0)
            mask[0, 0] = 2.1
            return grad * mask

    with pytest.raises(GradientCheckError):
        check_grad(OneOff.apply, [points(5, 5)])


def test_swapped_gradients_of_two_inputs_are_found() -> None:
    class Swapped(tg.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, grad):
            a, b = ctx.saved_tensors
            return grad * a, grad * b

    with pytest.raises(GradientCheckError):
        check_grad(Swapped.apply, [points(3, seed=1), points(3, seed=2)])


def test_second_derivative_cut_off_is_found_only_by_check_gradgrad() -> None:
    assert check_grad(RightOnce.apply, [points(4)]).largest_error < 1e-8
    with pytest.raises(GradientCheckError):
        check_gradgrad(RightOnce.apply, [points(4)])
    assert check_gradgrad(scaled(1.0).apply, [points(4)]).largest_error < 1e-7


def test_wrong_second_derivative_is_found() -> None:
    class Inner(tg.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return 3.0 * x * x

        @staticmethod
        def backward(ctx, grad):
            return grad * 5.0 * ctx.saved_tensors[0]  # 6 x would be right

    class Outer(tg.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, grad):
            return grad * Inner.apply(ctx.saved_tensors[0])

    check_grad(Outer.apply, [points(4)])
    with pytest.raises(GradientCheckError):
        check_gradgrad(Outer.apply, [points(4)])


def test_a_kink_is_reported_and_passed_over() -> None:
    # The kink of the second element lies within the step in some directions only.
    x = tg.tensor([1.0, 1e-6], dtype="float64", requires_grad=True)
    report = check_grad(F.relu, [x], directions=20)
    assert report.kinks > 0
    assert report.largest_error < 1e-6


def test_a_point_on_a_kink_says_so() -> None:
    x = tg.zeros(3, dtype="float64", requires_grad=True)
    with pytest.raises(GradientCheckError):
        check_grad(lambda x: F.relu(x) + x.abs() * 0.3, [x])


@pytest.mark.parametrize("name", [n for n in F.ACTIVATIONS if n not in ("rrelu", "prelu")])
def test_every_activation_passes_both_checks(name: str) -> None:
    function = F.ACTIVATIONS[name].function
    check_grad(function, [points(3, 4)])
    check_gradgrad(function, [points(3, 4)])


def test_batch_norm_passes_both_checks_in_both_modes() -> None:
    x, weight, bias = points(4, 3, 2, 2), points(3, seed=1), points(3, seed=2)
    mean, var = tg.zeros(3, dtype="float64"), tg.ones(3, dtype="float64")
    for training in (True, False):

        def function(x, weight, bias, training=training):
            return F.batch_norm(x, mean.detach().copy(), var.detach().copy(), weight, bias, training)

        check_grad(function, [x, weight, bias])
        check_gradgrad(function, [x, weight, bias])


def test_float32_and_constants_are_refused() -> None:
    with pytest.raises(DTypeError, match="in check_grad: expected input 0 of dtype float64"):
        check_grad(F.tanh, [tg.ones(2, requires_grad=True)])
    with pytest.raises(ArgumentError, match="at least one input that requires grad"):
        check_grad(F.tanh, [tg.ones(2, dtype="float64")])
    with pytest.raises(GradientCheckError, match="depends on the inputs"):
        check_grad(lambda x: x.detach(), [points(2)])
    with pytest.raises(DTypeError, match="input 0 to be a Tensor"):
        check_grad(F.tanh, [3.0])
    with pytest.raises(DTypeError, match="a function that returns a Tensor"):
        check_grad(lambda x: 3.0, [points(2)])
