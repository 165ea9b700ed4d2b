"""Operations that users bring: tg.Function."""

from __future__ import annotations

import numpy as np
import pytest
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn.errors import GraphError, TinygradBNError
from tinygrad_bn.testing import check_grad, check_gradgrad


class Cube(tg.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3.0 * x * x


class Exponential(tg.Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * y


class Scaled(tg.Function):
    @staticmethod
    def forward(ctx, a, scale, b, mode):
        ctx.save_for_backward(a, b)
        ctx.scale, ctx.mode = scale, mode
        return scale * a * b if mode == "product" else scale * (a + b)

    @staticmethod
    def backward(ctx, grad):
        a, b = ctx.saved_tensors
        assert ctx.mode == "product"
        first = ctx.scale * grad * b if ctx.needs_input_grad[0] else None
        second = (ctx.scale * grad * a).sum(axis=0) if ctx.needs_input_grad[2] else None
        return first, None, second, None


def _x(*shape: int) -> tg.Tensor:
    return tg.randn(*shape, dtype="float64", requires_grad=True)


@pytest.mark.parametrize("function", [Cube, Exponential])
def test_derivatives(function: type[tg.Function]) -> None:
    x = _x(3, 2)
    assert check_grad(function.apply, [x]).kinks == 0
    check_gradgrad(function.apply, [x])
    check_gradgrad(lambda t: function.apply(t * t).sum() * t, [x])


def test_three_times() -> None:
    x = tg.tensor(2.0, dtype="float64", requires_grad=True)
    y = Cube.apply(x)
    for expected in (12.0, 12.0, 6.0):
        (y,) = tg.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected)


def test_several_inputs_and_other_arguments() -> None:
    a, b = _x(4, 3), _x(3)
    check_grad(lambda a, b: Scaled.apply(a, 2.5, b, "product"), [a, b])
    check_gradgrad(lambda a, b: Scaled.apply(a, 2.5, b, "product"), [a, b])


def test_needs_input_grad_follows_the_arguments() -> None:
    a, b = tg.ones(4, 3, dtype="float64"), _x(3)
    y = Scaled.apply(a, 2.5, b, "product")
    assert y._node.op.ctx.needs_input_grad == (False, False, True, False)
    y.sum().backward()
    assert b.grad.tolist() == [10.0] * 3
    assert a.grad is None


def test_nothing_is_recorded_inside_and_without_need() -> None:
    seen = []

    class Spy(tg.Function):
        @staticmethod
        def forward(ctx, x):
            seen.append((tg.is_grad_enabled(), ctx.needs_input_grad))
            return x * 2.0

        @staticmethod
        def backward(ctx, grad):
            return grad * 2.0

    x = _x(2)
    y = Spy.apply(x)
    assert y._node.op.name == "Spy"
    assert [e.tensor for e in y._node.edges] == [x]
    with tg.no_grad():
        assert not Spy.apply(x).requires_grad
    assert not Spy.apply(x.detach()).requires_grad
    assert seen == [(False, (True,)), (False, (False,)), (False, (False,))]


def test_an_input_returned_as_it_is() -> None:
    class Same(tg.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad * 10.0

    x = _x(2)
    y = Same.apply(x)
    assert y is not x
    y.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0]


def test_the_same_tensor_twice() -> None:
    class Product(tg.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, grad):
            a, b = ctx.saved_tensors
            return grad * b, grad * a

    x = tg.tensor(3.0, requires_grad=True)
    Product.apply(x, x).backward()
    assert x.grad.item() == 6.0


def test_a_straight_through_estimator() -> None:
    class Round(tg.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = tg.tensor([0.4, 0.6], requires_grad=True)
    y = Round.apply(x)
    (y * tg.tensor([1.0, 2.0])).sum().backward()
    assert y.tolist() == [0.0, 1.0]
    assert x.grad.tolist() == [1.0, 2.0]


def _function(backward=lambda ctx, grad: grad, forward=lambda ctx, x: x * 2.0) -> type[tg.Function]:
    return type("Custom", (tg.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)})


@pytest.mark.parametrize(
    "backward",
    [
        lambda ctx, grad: grad.sum(),
        lambda ctx, grad: grad.astype("float32"),
        lambda ctx, grad: (grad, grad),
        lambda ctx, grad: (),
        lambda ctx, grad: np.ones(2),
        lambda ctx, grad: 1.0,
        lambda ctx, grad: grad.reshape(1, 2),
    ],
)
def test_wrong_gradients(backward) -> None:
    x = _x(2)
    with pytest.raises(TinygradBNError, match=r"^in .*(Custom.backward|backward of 'Custom'): expected .+, got "):
        _function(backward).apply(x).sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    "forward", [lambda ctx, x: 1.0, lambda ctx, x: None, lambda ctx, x: x.numpy(), lambda ctx, x: (x, x)]
)
def test_wrong_results(forward) -> None:
    with pytest.raises(TinygradBNError, match=r"^in Custom.forward: expected .+, got "):
        _function(forward=forward).apply(_x(2))


def test_an_integer_result_carries_no_gradient() -> None:
    with pytest.raises(TinygradBNError, match=r"^in Custom: expected a floating-point result"):
        _function(forward=lambda ctx, x: x > 0).apply(_x(2))
    assert _function(forward=lambda ctx, x: x > 0).apply(_x(2).detach()).dtype == np.bool_


def test_other_wrong_uses() -> None:
    with pytest.raises(TinygradBNError, match=r"^in Cube.apply: expected at least one Tensor"):
        Cube.apply(1.0)
    with pytest.raises(TinygradBNError, match=r"^in Function: expected a subclass that defines forward"):
        tg.Function.apply(_x(1))
    only_forward = type("Half", (tg.Function,), {"forward": staticmethod(lambda ctx, x: x * 0.5)})
    y = only_forward.apply(_x(1))
    with pytest.raises(TinygradBNError, match=r"^in Function: expected a subclass that defines backward"):
        y.backward()
    for saved in (None, 1.0, np.ones(2)):
        with pytest.raises(TinygradBNError, match=r"^in save_for_backward: expected .+, got "):
            _function(forward=lambda ctx, x, saved=saved: ctx.save_for_backward(saved) or x * 2.0).apply(_x(2))
    with pytest.raises(TypeError):
        Cube.apply(_x(1), power=2)


def test_a_change_of_what_is_saved_is_noticed() -> None:
    for function in (Cube, Exponential):
        x = _x(2)
        y = function.apply(x)
        changed = x if function is Cube else y
        with tg.no_grad():
            changed[0] = 5.0
        with pytest.raises(GraphError, match="changed in place"):
            y.sum().backward()


def test_a_view_made_inside_does_not_share_memory_with_its_input() -> None:
    class View(tg.Function):
        @staticmethod
        def forward(ctx, x):
            return x.reshape(-1)

        @staticmethod
        def backward(ctx, grad):
            return grad.reshape(2, 1)

    w = _x(2, 1)
    x = w * 1.0
    y = View.apply(x)
    z = (x * x).sum()
    with tg.no_grad():
        y[0] = 7.0
    z.backward()
    np.testing.assert_array_equal(w.grad.numpy(), 2.0 * w.numpy())


def test_a_second_pass_and_retain_graph() -> None:
    x = _x(2)
    y = Cube.apply(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 6.0 * x.numpy() ** 2)
    with pytest.raises(GraphError, match="retain_graph"):
        y.backward()


def test_same_as_torch() -> None:
    class Theirs(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3.0 * x * x

    x = _x(4)
    reference = torch.tensor(x.numpy().copy(), requires_grad=True)
    (slope,) = tg.grad(Cube.apply(x).exp().sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad(Theirs.apply(reference).exp().sum(), reference, create_graph=True)
    (second,) = tg.grad((slope * slope).sum(), x)
    (expected_second,) = torch.autograd.grad((expected * expected).sum(), reference)
    np.testing.assert_allclose(second.numpy(), expected_second.numpy(), rtol=1e-10)
