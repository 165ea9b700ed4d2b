"""Grad mode: contexts, decorators, nesting, errors, threads, async tasks."""

from __future__ import annotations

import asyncio
import threading

import pytest

import tinygrad_bn as tg
from tinygrad_bn import autograd
from tinygrad_bn import functional as F


def test_no_grad_records_nothing() -> None:
    x = tg.ones(2, requires_grad=True)
    with tg.no_grad():
        y = x * 2.0
        assert not tg.is_grad_enabled()
        assert not y.requires_grad
        assert y.is_leaf
        assert y._node is None
        with tg.enable_grad():
            assert (x * 2.0).requires_grad
        assert not tg.is_grad_enabled()
        leaf = tg.ones(1, requires_grad=True)
    assert tg.is_grad_enabled()
    assert leaf.requires_grad
    assert (x * 2.0).requires_grad


def test_the_mode_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), tg.no_grad():
        raise ZeroDivisionError
    assert tg.is_grad_enabled()


def test_decorators() -> None:
    @tg.no_grad()
    def evaluate(x: tg.Tensor) -> tg.Tensor:
        """Doubles."""
        return x * 2.0

    @tg.enable_grad()
    def train(x: tg.Tensor) -> tg.Tensor:
        return x * 2.0

    x = tg.ones(1, requires_grad=True)
    assert not evaluate(x).requires_grad
    assert evaluate.__name__ == "evaluate"
    assert evaluate.__doc__ == "Doubles."
    with tg.no_grad():
        assert train(x).requires_grad
    assert tg.is_grad_enabled()


def test_one_context_object_can_be_entered_again() -> None:
    mode = tg.no_grad()
    with mode:
        with mode:
            assert not tg.is_grad_enabled()
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()


def test_each_thread_has_its_own_mode() -> None:
    inside, outside = threading.Event(), threading.Event()
    seen = {}

    def other() -> None:
        seen["at the start"] = tg.is_grad_enabled()
        with tg.no_grad():
            inside.set()
            outside.wait(5)
            seen["inside"] = tg.is_grad_enabled()

    thread = threading.Thread(target=other)
    with tg.no_grad():
        thread.start()
        inside.wait(5)
        with tg.enable_grad():
            outside.set()
            thread.join()
    assert seen == {"at the start": True, "inside": False}
    assert tg.is_grad_enabled()


def test_each_async_task_has_its_own_mode() -> None:
    async def evaluate() -> list[bool]:
        seen = []
        with tg.no_grad():
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append(tg.is_grad_enabled())
        return seen

    async def train() -> list[bool]:
        seen = []
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(tg.is_grad_enabled())
        return seen

    async def both() -> list[list[bool]]:
        return await asyncio.gather(evaluate(), train())

    assert asyncio.run(both()) == [[False] * 3, [True] * 3]


def test_backward_inside_no_grad() -> None:
    x = tg.ones(2, requires_grad=True)
    y = (x * x).sum()
    with tg.no_grad():
        y.backward(create_graph=True)
    assert x.grad.requires_grad
    assert x.grad.tolist() == [2.0, 2.0]


def test_no_grad_is_not_evaluation() -> None:
    mean, variance = tg.zeros(2), tg.ones(2)
    with tg.no_grad():
        y = F.batch_norm(tg.tensor([[0.0, 1.0], [2.0, 5.0]]), mean, variance, training=True)
        assert (F.dropout(tg.ones(100), 0.5).numpy() == 0).any()
    assert abs(y.mean().item()) < 1e-6
    assert mean.tolist() == pytest.approx([0.1, 0.3])


def test_trace_records_without_gradients_and_keeps_no_values() -> None:
    x = tg.ones(4)
    w = tg.ones(4, requires_grad=True)
    with tg.no_grad(), autograd.trace():
        y = (x * w).exp().sum()
    assert not y.requires_grad
    names = []
    node = y._node
    while isinstance(node, autograd.Node):
        names.append(node.op.name)
        assert node.saved_bytes == 0
        assert not node.needs_grad
        node = node.edges[0]
    assert names == ["sum", "exp", "mul"]
    assert (x * 2.0)._node is None


def test_tracing_while_recording_changes_no_gradient() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    with autograd.trace():
        y = tg.where(w > 1.5, w * w, w).sum() + (tg.ones(2) * 3.0).sum()
    y.backward()
    assert w.grad.tolist() == [1.0, 4.0]


def test_scopes_nest_and_come_back() -> None:
    x = tg.ones(1, requires_grad=True)
    with autograd.scope("features"):
        with autograd.scope("0"):
            y = x * 2.0
        z = y * 2.0
    u = z * 2.0
    assert [t._node.scope for t in (y, z, u)] == ["features/0", "features", ""]
    with pytest.raises(ZeroDivisionError), autograd.scope("broken"):
        raise ZeroDivisionError
    assert autograd.current_scope() == ""
