"""The graph and the backward pass: shapes of graphs, leaves, accumulation, wrong use."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest
from compare import torch
from memory import shares_memory

import tinygrad_bn as tg
from tinygrad_bn.autograd import Leaf, Node, Op, apply
from tinygrad_bn.errors import ArgumentError, DTypeError, GraphError, ShapeError, TinygradBNError


def test_a_diamond_of_depth_1000_is_walked_once_per_node() -> None:
    x = tg.tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for _ in range(1000):
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.item() == 1.0


def test_a_chain_of_100_000_operations_goes_backward_and_is_destroyed() -> None:
    x = tg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    assert sys.getrecursionlimit() < 100_000
    y.backward()
    assert x.grad.item() == 1.0
    node = y._node
    del y
    assert node.freed
    del node  # the whole chain is dropped here, without recursion


def test_a_long_chain_is_dropped_without_a_backward_pass() -> None:
    x = tg.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y


def test_gradients_of_gradients_through_a_long_chain() -> None:
    x = tg.tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for _ in range(2000):
        y = y * x
    (slope,) = tg.grad(y, x, create_graph=True)
    (curvature,) = tg.grad(slope, x)
    assert slope.item() == 2001.0
    assert curvature.item() == 2001.0 * 2000.0


def test_a_tensor_used_many_times_adds_up() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    total = x * 0.0
    for i in range(100):
        total = total + x * float(i)
    total.sum().backward()
    assert x.grad.tolist() == [4950.0, 4950.0]


def test_one_tensor_as_both_operands() -> None:
    for call, expected in (
        (lambda x: x * x, 6.0),
        (lambda x: x + x, 2.0),
        (lambda x: x - x, 0.0),
        (lambda x: x / x, 0.0),
        (lambda x: x @ x, 6.0),
        (lambda x: tg.maximum(x, x), 1.0),
        (lambda x: tg.concatenate([x, x]), 2.0),
        (lambda x: tg.functional.mse_loss(x, x), 0.0),
        (lambda x: tg.functional.prelu(-x, x), -6.0),
    ):
        x = tg.tensor([3.0], requires_grad=True)
        call(x).sum().backward()
        assert x.grad.item() == expected


def test_leaves_are_what_they_are_in_torch() -> None:
    def facts(make, library):
        x = make()
        w = make()
        w.requires_grad = True
        y, z = x * 2.0, w * 2.0
        with library.no_grad():
            n = w * 2.0
        d = z.detach()
        return [(t.is_leaf, t.requires_grad) for t in (x, w, y, z, n, d, z + x, w[0], w.detach())]

    assert facts(lambda: tg.ones(2), tg) == facts(lambda: torch.ones(2), torch)


def test_setting_requires_grad() -> None:
    w = tg.ones(2, requires_grad=True)
    z = w * 2.0
    with pytest.raises(GraphError, match=r"requires_grad.*detach"):
        z.requires_grad = False
    assert z.requires_grad
    w.requires_grad = False
    assert not (w * 2.0).requires_grad
    assert w.requires_grad_() is w
    (w * 3.0).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]
    frozen = tg.ones(2) * 2.0  # computed, but of nothing that requires grad: a leaf
    frozen.requires_grad_()
    frozen.sum().backward()
    assert frozen.grad.tolist() == [1.0, 1.0]


def test_gradients_accumulate_until_they_are_set_to_none() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    for expected in (2.0, 4.0, 6.0):
        (x * 2.0).backward()
        assert x.grad.item() == expected
    kept = x.grad
    x.grad = None
    (x * 2.0).backward()
    assert x.grad.item() == 2.0
    assert kept.item() == 6.0


def test_only_leaves_that_require_grad_get_one() -> None:
    x, w = tg.ones(2), tg.ones(2, requires_grad=True)
    y = x * w
    y.sum().backward()
    assert x.grad is None
    assert y.grad is None
    assert w.grad is not None
    assert not w.grad.requires_grad
    assert w.grad.is_leaf


def test_retain_grad() -> None:
    x = tg.tensor([3.0], requires_grad=True)
    y = x * 2.0
    y.retain_grad()
    y.retain_grad()
    x.retain_grad()
    (y * y).backward()
    assert y.grad.item() == 12.0
    assert x.grad.item() == 24.0
    with pytest.raises(GraphError, match=r"^in retain_grad: expected"):
        tg.ones(1).retain_grad()


def test_starting_gradients() -> None:
    x = tg.tensor([[1.0, 2.0]], requires_grad=True)
    for start in (np.array([[3.0, 4.0]]), [[3.0, 4.0]], tg.tensor([[3.0, 4.0]]), np.array([[3, 4]])):
        x.grad = None
        (x * 2.0).backward(start)
        assert x.grad.tolist() == [[6.0, 8.0]]
        assert x.grad.dtype == np.float32
    x.grad = None
    x.sum().backward(2.0)
    assert x.grad.tolist() == [[2.0, 2.0]]
    (x[0, 0:1] * 2.0).backward()  # one element, whatever its shape


def test_wrong_starts() -> None:
    x = tg.ones(2, requires_grad=True)
    y = x * 2.0
    for start in (
        np.ones(3),
        np.ones((2, 1)),
        tg.ones(2, dtype="float64"),
        tg.ones(1),
        1.0,
        "a",
        "ab",
        [1.0, None],
        [[1.0], [1.0, 2.0]],
        np.ones(2) * 1j,
        object(),
    ):
        with pytest.raises((ShapeError, DTypeError), match=r"^in backward: expected .+, got "):
            y.backward(start)
    with pytest.raises(ShapeError, match=r"^in backward: expected one element, got shape \(2,\).*sum\(\)"):
        y.backward()
    assert x.grad is None
    with pytest.raises(GraphError, match=r"^in backward: expected a result that requires grad"):
        tg.ones(1).backward()
    with tg.no_grad():
        z = (x * 2.0).sum()
    with pytest.raises(GraphError, match="no_grad"):
        z.backward()
    with pytest.raises(ShapeError):
        tg.zeros(0, requires_grad=True).exp().backward()


def test_a_second_pass_explains_itself() -> None:
    x = tg.tensor([2.0], requires_grad=True)
    y = (x * x).exp()
    y.backward()
    with pytest.raises(GraphError, match=r"backward through 'exp'.*freed.*retain_graph=True"):
        y.backward()
    z = (x * x).exp()
    z.backward(retain_graph=True)
    z.backward()
    with pytest.raises(GraphError, match="retain_graph"):
        z.backward()


def test_a_second_pass_over_a_shared_part_is_an_error_too() -> None:
    x = tg.tensor([2.0], requires_grad=True)
    shared = x * x
    a, b = shared * 2.0, shared * 3.0
    a.backward()
    with pytest.raises(GraphError, match="backward through 'mul'"):
        b.backward()


def test_grad_leaves_dot_grad_alone() -> None:
    x, w = tg.tensor([2.0], requires_grad=True), tg.tensor([3.0], requires_grad=True)
    y = x * w
    a, b = tg.grad(y, [x, w])
    assert (a.item(), b.item()) == (3.0, 2.0)
    assert x.grad is None
    assert w.grad is None
    assert not a.requires_grad


def test_grad_of_computed_inputs_and_several_outputs() -> None:
    x = tg.tensor([2.0], requires_grad=True)
    y = x * x
    z, u = y * 3.0, y * y
    (slope,) = tg.grad([z, u], y, retain_graph=True)
    assert slope.item() == 3.0 + 2.0 * 4.0
    (slope,) = tg.grad([z, u], y, [tg.tensor([2.0]), None], retain_graph=True)
    assert slope.item() == 6.0 + 8.0
    by_x, by_y = tg.grad([z, u], [x, y], retain_graph=True)
    assert by_x.item() == by_y.item() * 4.0
    assert tg.grad(y, y)[0].item() == 1.0
    assert tg.grad(x, x)[0].item() == 1.0
    assert tg.grad(z, iter([x]), retain_graph=True)[0].item() == 12.0
    first, second = tg.grad((z, z), (x, x))
    assert first.item() == second.item() == 24.0


def test_grad_matches_torch_on_a_graph_with_everything() -> None:
    def build(library, make):
        a = make([1.0, 2.0])
        b = make([3.0, -1.0])
        c = a * b
        d = (c + a).exp()
        e = d.detach() * c
        f = (d * e + b).sum()
        g = (c * c).sum()
        return [t.tolist() for t in library([f, g], [a, b, c, d])]

    ours = build(tg.grad, lambda v: tg.tensor(v, dtype="float64", requires_grad=True))
    theirs = build(torch.autograd.grad, lambda v: torch.tensor(v, dtype=torch.float64, requires_grad=True))
    np.testing.assert_allclose(np.array(ours), np.array(theirs), rtol=1e-12)


def test_grad_of_unused_inputs() -> None:
    x, w = tg.tensor([2.0], requires_grad=True), tg.tensor([3.0], requires_grad=True)
    with pytest.raises(GraphError, match=r"(?s)^in grad: expected inputs that the outputs depend on.*allow_unused"):
        tg.grad(x * 2.0, [x, w])
    a, b = tg.grad(x * 2.0, [x, w], allow_unused=True)
    assert a.item() == 2.0
    assert b is None
    (c,) = tg.grad(x * 2.0, x * 3.0, allow_unused=True)
    assert c is None


@pytest.mark.parametrize(
    "call",
    [
        lambda x: tg.grad(3.0, x),
        lambda x: tg.grad(x * 2.0, 3.0),
        lambda x: tg.grad(x * 2.0, [x, "a"]),
        lambda x: tg.grad([x * 2.0, 1.0], x),
        lambda x: tg.grad(None, x),
        lambda x: tg.grad(x * 2.0, tg.ones(1)),
        lambda x: tg.grad(tg.ones(1), x),
        lambda x: tg.grad(x * 2.0, x, [tg.ones(1), tg.ones(1)]),
        lambda x: tg.grad(x * 2.0, x, tg.ones(3)),
        lambda x: tg.grad(x * 2.0, x, tg.ones(1, dtype="float64")),
        lambda x: tg.grad(x * 2.0, x, "a"),
        lambda x: tg.grad([x * 2.0, x], x, 3.0),
    ],
)
def test_wrong_calls_of_grad(call) -> None:
    with pytest.raises(TinygradBNError, match=r"^in grad: expected .+, got "):
        call(tg.tensor([2.0], requires_grad=True))


def test_grad_computes_nothing_that_leads_nowhere() -> None:
    """Only what lies between the outputs and the inputs is walked; the rest keeps its saved values."""
    x, w = tg.tensor([2.0], requires_grad=True), tg.tensor([3.0], requires_grad=True)
    aside = w.exp()
    y = x.exp()
    out = aside * y
    tg.grad(out, y)
    assert not aside._node.freed
    assert not y._node.freed
    assert out._node.freed


def test_create_graph_makes_a_differentiable_gradient() -> None:
    x = tg.tensor([2.0], dtype="float64", requires_grad=True)
    (x**4).backward(create_graph=True)
    assert x.grad.requires_grad
    slope = x.grad
    x.grad = None
    slope.backward()
    assert x.grad.item() == 48.0


def test_third_derivative() -> None:
    x = tg.tensor(0.7, dtype="float64", requires_grad=True)
    y = tg.functional.tanh(x)
    for _ in range(3):
        (y,) = tg.grad(y, x, create_graph=True)
    t = np.tanh(0.7)
    assert y.item() == pytest.approx((1 - t**2) * (6 * t**2 - 2), rel=1e-12)


def test_gradients_of_different_leaves_never_share_memory() -> None:
    for create_graph in (False, True):
        x, w = tg.ones(3, requires_grad=True), tg.ones(3, requires_grad=True)
        start = tg.full((3,), 2.0)
        (x + w).backward(start, create_graph=create_graph)
        assert x.grad is not w.grad
        assert not shares_memory(x.grad, w.grad)
        assert not shares_memory(x.grad, start)
        with tg.no_grad():
            x.grad[0] = 100.0
        assert w.grad.tolist() == start.tolist() == [2.0, 2.0, 2.0]


def test_gradients_are_writable_and_of_the_leafs_shape() -> None:
    x = tg.ones(2, 3, requires_grad=True)
    x.sum().backward()  # whose gradient is one number, broadcast
    x.grad[0, 0] = 5.0
    assert x.grad.tolist() == [[5.0, 1.0, 1.0], [1.0, 1.0, 1.0]]


def test_a_gradient_held_by_the_user_does_not_change_in_a_later_pass() -> None:
    x = tg.ones(2, requires_grad=True)
    x.sum().backward()
    held = x.grad
    x.sum().backward()
    assert held.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [2.0, 2.0]


class _Wrong(Op):
    """Doubles its input, with a gradient that fits in no way."""

    name = "wrong"

    def __init__(self, gradient) -> None:
        self.gradient = gradient

    def forward(self, kernels, x):
        return x * 2.0

    def backward(self, grad, inputs, output):
        return self.gradient


@pytest.mark.parametrize(
    "gradient",
    [
        (tg.ones(3),),
        (tg.ones(2, dtype="float64"),),
        (tg.ones(1),),
        (tg.tensor(1.0),),
        (tg.ones(2, 1),),
        (tg.ones(2), tg.ones(2)),
        (),
    ],
)
def test_wrong_gradients_are_noticed(gradient) -> None:
    x = tg.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match=r"^in backward of 'wrong': expected .+, got "):
        apply(_Wrong(gradient), x).sum().backward()
    assert x.grad is None


def test_an_operation_without_a_derivative_says_so() -> None:
    class Half(Op):
        name = "half"

        def forward(self, kernels, x):
            return x * 0.5

    y = apply(Half(), tg.ones(1, requires_grad=True))
    with pytest.raises(TypeError, match="Half must define backward"):
        y.backward()
    with pytest.raises(TypeError, match="must define forward"):
        apply(Op(), tg.ones(1))


def test_edges_name_where_each_input_comes_from() -> None:
    x, w = tg.ones(2), tg.ones(2, requires_grad=True)
    y = w * 2.0
    z = tg.where(x > 0, x + y, 3.0)
    where = z._node
    assert where.op.name == "where"
    condition, total, number = where.edges
    assert isinstance(condition, Leaf)  # a comparison makes no node: nothing flows through it
    assert condition.tensor is None
    assert total.op.name == "add"
    assert number is None
    assert total.edges[1] is y._node
    assert y._node.edges[0].tensor is w
    assert isinstance(total.edges[0], Leaf)
    assert y._node.index < total.index < where.index


def test_one_leaf_object_per_tensor_while_a_graph_holds_it() -> None:
    w = tg.ones(2, requires_grad=True)
    a, b = w * 2.0, w * 3.0
    assert a._node.edges[0] is b._node.edges[0]


def test_saved_bytes() -> None:
    x = tg.ones(10, requires_grad=True)
    assert (x + 1.0)._node.saved_bytes == 0
    assert x.exp()._node.saved_bytes == 40
    assert (x * x)._node.saved_bytes == 80
    y = x.exp()
    y.sum().backward()
    assert y._node.saved_bytes == 0


def test_backward_in_other_threads() -> None:
    """Each thread has its own graph; the leaf is shared."""
    x = tg.ones(100, dtype="float64", requires_grad=True)
    found = []

    def work(factor: float) -> None:
        (slope,) = tg.grad((x * factor).exp().sum(), x)
        found.append((factor, slope.numpy()[0]))

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 5
    for factor, slope in found:
        assert slope == pytest.approx(factor * np.exp(factor))


def test_a_failed_pass_leaves_no_gradient_behind() -> None:
    x, w = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    bad = apply(_Wrong((tg.ones(3),)), w)
    with pytest.raises(GraphError):
        (x * 2.0 + bad).sum().backward()
    assert x.grad is None
    assert w.grad is None


def test_replacing_the_data_of_a_leaf_is_noticed() -> None:
    x = tg.tensor([2.0], requires_grad=True)
    y = x * x
    x.data = np.array([100.0], dtype="float32")
    with pytest.raises(GraphError, match="data were replaced"):
        y.backward()


def test_nodes_in_garbage_only() -> None:
    gc.collect()
    before = sum(type(o) is Node for o in gc.get_objects())
    x = tg.ones(2, requires_grad=True)
    y = (x * 2.0).sum()
    assert sum(type(o) is Node for o in gc.get_objects()) == before + 2
    del y
    assert sum(type(o) is Node for o in gc.get_objects()) == before


def test_errors_are_ours_and_python_s() -> None:
    assert issubclass(GraphError, RuntimeError)
    assert issubclass(ShapeError, ArgumentError)
    assert issubclass(DTypeError, TypeError)
