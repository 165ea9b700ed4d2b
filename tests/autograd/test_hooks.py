"""Hooks on tensors: when they are called, with what, and what they may change."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.errors import GraphError


def test_a_hook_sees_the_total_gradient_once() -> None:
    for leaf in (True, False):
        w = tg.tensor([1.0, 2.0], requires_grad=True)
        x = w if leaf else w * 1.0
        seen = []
        x.register_hook(lambda g, seen=seen: seen.append(g.tolist()))
        (x * 2.0 + x * 3.0 + x.exp() * 0.0).sum().backward()
        assert seen == [[5.0, 5.0]]


def test_hooks_run_in_order_and_each_sees_what_the_one_before_returned() -> None:
    for leaf in (True, False):
        w = tg.tensor([1.0], requires_grad=True)
        x = w if leaf else w * 1.0
        seen = []

        def first(g, seen=seen):
            seen.append(("first", g.item()))
            return g * 10.0

        def second(g, seen=seen):
            seen.append(("second", g.item()))

        def third(g, seen=seen):
            seen.append(("third", g.item()))
            return g + 1.0

        for hook in (first, second, third):
            x.register_hook(hook)
        (x * 2.0).backward()
        assert seen == [("first", 2.0), ("second", 20.0), ("third", 20.0)]
        assert w.grad.item() == 21.0


def test_a_hook_can_be_removed() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    handle = x.register_hook(lambda g: g * 100.0)
    handle.remove()
    handle.remove()
    with x.register_hook(lambda g: g * 10.0):
        (x * 2.0).backward()
    assert x.grad.item() == 20.0
    x.grad = None
    (x * 2.0).backward()
    assert x.grad.item() == 2.0


def test_a_hook_may_remove_itself() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    calls = []

    def once(g):
        calls.append(g.item())
        handle.remove()

    handle = x.register_hook(once)
    (x * 2.0).backward()
    (x * 2.0).backward()
    assert calls == [2.0]


def test_the_same_hook_twice_runs_twice() -> None:
    x = tg.tensor([1.0], requires_grad=True)

    def double(g):
        return g * 2.0

    a = x.register_hook(double)
    x.register_hook(double)
    (x * 1.0).backward()
    assert x.grad.item() == 4.0
    a.remove()
    x.grad = None
    (x * 1.0).backward()
    assert x.grad.item() == 2.0


def test_a_hook_registered_after_the_forward_pass_counts() -> None:
    w = tg.tensor([1.0], requires_grad=True)
    x = w * 2.0
    y = (x * 3.0).sum()
    x.register_hook(lambda g: g * 10.0)
    w.register_hook(lambda g: g + 1.0)
    y.backward()
    assert w.grad.item() == 61.0


def test_a_hook_on_a_result_sees_the_starting_gradient() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    y = x * 2.0
    y.register_hook(lambda g: g * 5.0)
    y.backward()
    assert x.grad.item() == 10.0


def test_grad_calls_hooks_too() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    y = x * 2.0
    y.register_hook(lambda g: g * 3.0)
    x.register_hook(lambda g: g * 5.0)
    assert tg.grad(y, x)[0].item() == 30.0


def test_the_hook_of_a_tensor_that_is_gone_still_counts() -> None:
    w = tg.tensor([1.0], requires_grad=True)

    def forward():
        x = w * 2.0
        x.register_hook(lambda g: g * 10.0)
        return x * 3.0

    forward().backward()
    assert w.grad.item() == 60.0


@pytest.mark.parametrize(
    "returned",
    [
        tg.ones(3),
        tg.ones(2, 1),
        tg.ones(2, dtype="float64"),
        tg.ones(2, dtype="int64"),
        np.ones(2),
        1.0,
        "a",
        [1.0, 1.0],
    ],
)
def test_what_a_hook_must_not_return(returned) -> None:
    for leaf in (True, False):
        w = tg.ones(2, requires_grad=True)
        x = w if leaf else w * 1.0
        x.register_hook(lambda g: returned)
        with pytest.raises(GraphError, match=r"(?s)^in gradient hook of .+: expected .+, got "):
            x.sum().backward()
        assert w.grad is None


def test_an_error_in_a_hook_comes_through() -> None:
    x = tg.ones(1, requires_grad=True)

    def fail(g):
        raise ZeroDivisionError("from the hook")

    x.register_hook(fail)
    with pytest.raises(ZeroDivisionError, match="from the hook"):
        (x * 2.0).backward()
    assert x.grad is None
    assert tg.is_grad_enabled()


def test_hooks_need_a_gradient() -> None:
    with pytest.raises(GraphError, match=r"^in register_hook: expected"):
        tg.ones(1).register_hook(lambda g: g)
    x = tg.ones(1, requires_grad=True)
    with pytest.raises(TypeError, match=r"^in register_hook: expected"):
        x.register_hook("no function")


def test_hooks_do_not_record_unless_asked() -> None:
    x = tg.tensor([3.0], requires_grad=True)
    modes = []
    x.register_hook(lambda g: modes.append((tg.is_grad_enabled(), g.requires_grad)))
    (x * x).backward()
    (x * x).backward(create_graph=True)
    assert modes == [(False, False), (True, True)]


def test_retained_gradient_is_what_the_hooks_made_of_it() -> None:
    w = tg.tensor([1.0], requires_grad=True)
    x = w * 1.0
    x.retain_grad()
    x.register_hook(lambda g: g * 10.0)
    (x * 2.0).backward()
    assert x.grad.item() == 20.0
