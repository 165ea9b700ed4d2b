"""In-place changes of values that a derivative needs: noticed, wherever the change comes from."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.errors import GraphError

NOTICED = (
    r"in backward through '\w+': expected the value of shape .+ as it was in the forward pass, got a value changed"
)


def _change(x: tg.Tensor) -> None:
    with tg.no_grad():
        x[0] = 9.0


CHANGES = {
    "element": _change,
    "assign_": lambda x: tg.no_grad()(x.assign_)(x * 2.0),
    "view": lambda x: _change(x.reshape(-1) if x.ndim == 1 else x),
    "slice": lambda x: _change(x[::2]),
    "detached": lambda x: _change(x.detach()),
    "transposed": lambda x: _change(x.T),
    "alias": lambda x: _change(x.detach().alias()),
    "view of a view": lambda x: _change(x.detach()[1:].unsqueeze(0)),
    "identity": lambda x: _change(F.identity(x.detach())),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("grads", [(True, True), (True, False), (False, True)])
def test_a_changed_input(change, grads: tuple[bool, bool]) -> None:
    a, b = (tg.tensor([1.0, 2.0, 3.0], requires_grad=g) for g in grads)
    y = (a * b).sum()
    change(b if grads[0] else a)
    with pytest.raises(GraphError, match=NOTICED):
        y.backward()
    assert a.grad is None
    assert b.grad is None


def test_a_changed_intermediate_value_and_a_changed_output() -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = w * 2.0
    y = x * x
    _change(x)
    with pytest.raises(GraphError, match=NOTICED):
        y.sum().backward()
    z = w.exp()
    _change(z)
    with pytest.raises(GraphError, match=r"backward through 'exp'"):
        z.sum().backward()


def test_a_change_that_no_derivative_reads_is_allowed() -> None:
    w, x = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([3.0, 4.0])
    y = (w + x).sum()
    z = (w * 2.0).sum()
    _change(x)
    _change(w)
    (y + z).backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_a_change_of_a_copy_is_allowed() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (w * w).sum()
    _change(w.detach().copy())
    _change(w.astype("float64"))
    y.backward()
    assert w.grad.tolist() == [2.0, 4.0]


def test_a_change_after_the_backward_pass_is_allowed() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        w.grad = None
        (w * w).sum().backward()
        with tg.no_grad():
            w.assign_(w - 0.1 * w.grad)
    np.testing.assert_allclose(w.numpy(), [0.512, 1.024], rtol=1e-6)


def test_a_change_between_passes_is_noticed() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (w * w).sum()
    y.backward(retain_graph=True)
    _change(w)
    with pytest.raises(GraphError, match=NOTICED):
        y.backward()


def test_fused_operations_notice_too() -> None:
    x = tg.randn(4, 3, 5, 5, requires_grad=True)
    weight = tg.randn(2, 3, 3, 3, requires_grad=True)
    gamma = tg.ones(2, requires_grad=True)
    target = F.one_hot(tg.tensor([0, 1, 0, 1], dtype="int64")).astype("float32")
    for build, changed in (
        (lambda: F.conv2d(x, weight), weight),
        (lambda: F.batch_norm(F.conv2d(x, weight), None, None, gamma, training=True), gamma),
        (lambda: F.relu(x), x),
        (lambda: F.cross_entropy(x.mean(axis=(2, 3))[:, :2], target), target),
        (lambda: F.linear(x.mean(axis=(2, 3)), weight[0, 0]), weight),
    ):
        y = build()
        if changed is x:
            changed = y
        _change(changed)
        with pytest.raises(GraphError, match=NOTICED):
            y.sum().backward()


def test_views_of_different_memory_do_not_disturb_each_other() -> None:
    a, w = tg.ones(2), tg.ones(2, requires_grad=True)
    b = a.copy()
    y = (w * a).sum()
    _change(b)
    y.backward()
    assert w.grad.tolist() == [1.0, 1.0]
