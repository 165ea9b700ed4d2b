"""No graph outlives its use: live nodes are counted with the cycle collector off."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from memory import shares_memory

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.autograd import Leaf, Node


@pytest.fixture(autouse=True)
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _alive() -> int:
    return sum(type(o) in (Node, Leaf) for o in gc.get_objects())


def _network(x: tg.Tensor, parameters: dict[str, tg.Tensor]) -> tg.Tensor:
    p = parameters
    y = F.conv2d(x, p["conv"], p["conv bias"], padding=1)
    y = F.batch_norm(y, p["mean"], p["var"], p["gamma"], p["beta"], training=True)
    y = F.max_pool2d(F.dropout(F.relu(y), 0.2), 2)
    return F.linear(y.flatten(1), p["linear"], p["linear bias"])


def _parameters() -> dict[str, tg.Tensor]:
    p = {
        "conv": tg.randn(4, 1, 3, 3),
        "conv bias": tg.zeros(4),
        "gamma": tg.ones(4),
        "beta": tg.zeros(4),
        "linear": tg.randn(3, 16),
        "linear bias": tg.zeros(3),
    }
    for tensor in p.values():
        tensor.requires_grad_()
    return p | {"mean": tg.zeros(4), "var": tg.ones(4)}


def _step(parameters: dict[str, tg.Tensor]) -> float:
    x, labels = tg.randn(5, 1, 4, 4), tg.tensor([0, 1, 2, 0, 1], dtype="int64")
    loss = F.cross_entropy(_network(x, parameters), labels)
    loss.backward()
    with tg.no_grad():
        for tensor in parameters.values():
            if tensor.requires_grad:
                tensor.assign_(tensor - 0.1 * tensor.grad)
                tensor.grad = None
    return loss.item()


def test_no_node_survives_a_training_step() -> None:
    parameters = _parameters()
    _step(parameters)
    gc.collect()  # compiling a kernel, as the first step may do, leaves cycles through the frames of its callers
    before = _alive()
    for _ in range(5):
        _step(parameters)
        assert _alive() == before


def test_nothing_saved_survives_a_backward_pass_while_the_loss_lives() -> None:
    parameters = _parameters()
    x = tg.randn(5, 1, 4, 4)
    loss = F.cross_entropy(_network(x, parameters), tg.tensor([0, 1, 2, 0, 1], dtype="int64"))
    nodes = _walk(loss)
    assert sum(n.saved_bytes for n in nodes) > 0
    loss.backward()
    assert [n for n in nodes if n.saved_bytes or n.output is not None or any(s is not None for s in n.saved)] == []
    # Nor do the operations hold arrays, but for the statistics of a channel.
    attributes = [a for n in nodes for v in vars(n.op).values() for a in (v if isinstance(v, tuple) else (v,))]
    assert [a.shape for a in attributes if isinstance(a, np.ndarray) and a.size > 4] == []


def test_arrays_of_a_used_graph_are_gone() -> None:
    x = tg.randn(2, 2, 8, 8, requires_grad=True)
    y = F.max_pool2d(F.relu(x) * 2.0, 2)
    hidden = weakref.ref(y._node.edges[0].edges[0].output.array)  # the output of relu
    loss = y.sum()
    del y
    loss.backward()
    assert hidden() is None


def test_a_result_dropped_without_a_backward_pass() -> None:
    before = _alive()
    x = tg.randn(3, requires_grad=True)
    y = (x.exp() * x).sum()
    del y
    assert _alive() == before


def test_grad_with_create_graph_leaves_nothing() -> None:
    def differentiate_twice(x: tg.Tensor) -> None:
        y = F.batch_norm(F.tanh(x), None, None, training=True)
        (slope,) = tg.grad((y * y * y).sum(), x, create_graph=True)
        tg.grad(slope.sum(), x)

    x = tg.randn(3, 2, dtype="float64", requires_grad=True)
    differentiate_twice(x)
    gc.collect()  # as above
    before = _alive()
    differentiate_twice(x)
    assert _alive() == before


def test_hooks_functions_and_retained_gradients_leave_nothing() -> None:
    class Double(tg.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2.0
            ctx.save_for_backward(x, y)
            ctx.note = "kept"
            return y

        @staticmethod
        def backward(ctx, grad):
            return grad * 2.0

    before = _alive()
    x = tg.randn(3, requires_grad=True)
    y = Double.apply(x)
    y.register_hook(lambda g: g * 1.0)
    y.retain_grad()
    z = y.sum()
    z.backward()
    del y, z
    assert _alive() == before


def test_an_error_in_the_middle_leaves_nothing() -> None:
    before = _alive()
    x = tg.randn(3, requires_grad=True)
    with pytest.raises(ValueError, match="broadcast"):
        x.exp() + tg.zeros(2)
    y = x.exp() * x
    y.sum().backward()
    with pytest.raises(RuntimeError, match="freed"):
        y.sum().backward()
    del y
    assert _alive() == before


def test_a_leaf_that_needs_no_gradient_is_not_kept_alive_by_the_graph() -> None:
    w = tg.ones(3, requires_grad=True)
    x = tg.ones(3)
    gone = weakref.ref(x)
    y = w + x
    del x
    assert gone() is None
    assert y._node.edges[1].shape == (3,)


def test_a_leaf_that_needs_one_is() -> None:
    w = tg.ones(3, requires_grad=True)
    y = (w * 2.0).sum()
    seen = []
    w.register_hook(lambda g: seen.append(g.tolist()))
    del w
    y.backward()
    assert seen == [[2.0, 2.0, 2.0]]


def test_values_nobody_needs_are_not_kept() -> None:
    x, w = tg.randn(3), tg.randn(3, requires_grad=True)
    y = x * w
    assert [s is not None for s in y._node.saved] == [True, False]
    z = F.tanh(w)
    assert z._node.saved == (None,)
    assert shares_memory(z._node.output.array, z)


def _walk(tensor: tg.Tensor) -> list[Node]:
    nodes, stack = {}, [tensor._node]
    while stack:
        node = stack.pop()
        nodes[node.index] = node
        stack.extend(e for e in node.edges if isinstance(e, Node) and e.index not in nodes)
    return list(nodes.values())
