"""Mistakes that were here once: each stays mended."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.autograd import trace
from tinygrad_bn.errors import ArgumentError, DTypeError, GraphError
from tinygrad_bn.testing import GradientCheckError, check_grad

torch = pytest.importorskip("torch")


def half(values) -> tg.Tensor:
    return tg.tensor(np.asarray(values, dtype="float16"))


def test_softmax_of_many_float16_values_adds_up_in_float32() -> None:
    np.testing.assert_allclose(F.softmax(half(np.zeros((4096, 2))), 0).numpy() * 4096, 1.0)
    np.testing.assert_allclose(F.log_softmax(half(np.zeros((4096, 2))), 0).numpy(), -np.log(4096), rtol=1e-3)
    assert half(np.zeros(70_000)).logsumexp().item() == pytest.approx(np.log(70_000), rel=1e-3)


def test_the_mean_of_many_float16_losses_is_finite() -> None:
    labels = tg.tensor(np.zeros(70_000, dtype="int64"))
    logits = half(np.zeros((70_000, 2))).requires_grad_()
    loss = F.cross_entropy(logits, labels)
    assert loss.dtype == np.float16
    assert loss.item() == pytest.approx(np.log(2), rel=1e-3)
    loss.backward()
    assert logits.grad.dtype == np.float16
    assert F.mse_loss(half([300.0, 0.0]), half([0.0, 0.0]), reduction="mean").item() == pytest.approx(45_000, rel=1e-3)


def test_the_deviation_of_large_float16_values_is_finite() -> None:
    assert half([0.0, 1000.0]).std().item() == 500.0


def test_a_tensor_that_asks_for_a_gradient_late_gets_all_of_it() -> None:
    x = tg.tensor(1.0, requires_grad=True)
    first = x * 2.0
    x.requires_grad_(False)
    constant = x * 3.0
    x.requires_grad_(True)
    (slope,) = tg.grad((first + constant + x * 4.0).sum(), x)
    assert slope.item() == 6.0


def test_what_was_only_traced_can_become_a_leaf() -> None:
    with trace():
        y = tg.ones(2) * 2.0
    y.requires_grad_()
    (y * 3.0).sum().backward()
    assert y.grad.tolist() == [3.0, 3.0]


def test_one_element_is_a_view_like_any_other_part() -> None:
    x = tg.zeros(3)
    x[0].assign_(5.0)
    assert x.tolist() == [5.0, 0.0, 0.0]


@pytest.mark.parametrize("shape", [(200_000, 2), (100_001, 1), (513, 3), (64, 3)])
def test_batch_norm_without_pixels_is_accurate_far_from_zero(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(100.0, 1.0, shape).astype("float32")
    result = F.batch_norm(tg.tensor(x), None, None, training=True).numpy()
    expected = (x - x.mean(axis=0, dtype="float64")) / np.sqrt(x.var(axis=0, dtype="float64") + 1e-5)
    np.testing.assert_allclose(result, expected, atol=2e-4)


def test_threads_lose_no_gradient_of_a_shared_parameter() -> None:
    parameter = tg.zeros(1, requires_grad=True)

    def work() -> None:
        for _ in range(300):
            (parameter * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert parameter.grad.item() == 1200.0


def test_grad_touches_no_grad_attribute_and_shares_no_memory() -> None:
    x = tg.ones(2, requires_grad=True)
    y = x * 2.0
    y.retain_grad()
    tg.grad((y * y).sum(), x)
    assert y.grad is None
    a, b, start = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True), tg.ones(2)
    of_a, of_b = tg.grad(a + b, [a, b], start)
    of_a[0] = 9.0
    assert of_b.tolist() == start.tolist() == [1.0, 1.0]


def test_no_grad_refuses_to_decorate_what_runs_later() -> None:
    with pytest.raises(DTypeError, match=r"in @no_grad\(\): expected an ordinary function"):

        @tg.no_grad()
        def numbers():
            yield 1


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_where_an_operand_is_nan_both_get_the_gradient(name: str) -> None:
    values = [np.nan, 1.0, 2.0, 3.0], [1.0, np.nan, 2.0, 1.0]
    ours = [tg.tensor(np.array(v), requires_grad=True) for v in values]
    theirs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    getattr(tg, name)(*ours).sum().backward()
    getattr(torch, name)(*theirs).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.grad.numpy(), other.grad.numpy())


def test_a_point_exactly_on_a_kink_is_called_one() -> None:
    x = tg.tensor(np.array([0.0, 0.3, -1.0]), requires_grad=True)
    for function in (F.relu, F.leaky_relu, lambda x: x.clip(0.0, 1.0)):
        with pytest.raises(GradientCheckError, match="kink"):
            check_grad(function, [x])


def test_a_gradient_of_another_shape_is_refused_before_a_step_does_harm() -> None:
    a = tg.ones(2, requires_grad=True)
    for wrong in (tg.ones(3), tg.ones(1), tg.ones(2, dtype="float64")):
        with pytest.raises(GraphError, match="in grad: expected a gradient of shape"):
            a.grad = wrong
    with pytest.raises(DTypeError, match="a Tensor or None"):
        a.grad = np.ones(2)
    assert a.grad is None


def test_a_buffer_does_not_push_out_a_parameter() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ArgumentError, match="in register_buffer: expected a name that nothing else has"):
        layer.register_buffer("weight", tg.zeros(2, 2))
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_flags_are_true_or_false() -> None:
    x, mean, var = tg.ones(4, 2), tg.zeros(2), tg.ones(2)
    calls = {
        "batch_norm": lambda: F.batch_norm(x, mean, var, training="no"),
        "dropout": lambda: F.dropout(x, 0.5, "no"),
        "rrelu": lambda: F.rrelu(x, training="no"),
        "max_pool2d": lambda: F.max_pool2d(tg.ones(1, 1, 4, 4), 2, ceil_mode="no"),
        "avg_pool2d": lambda: F.avg_pool2d(tg.ones(1, 1, 4, 4), 2, count_include_pad="no"),
    }
    for name, call in calls.items():
        with pytest.raises(DTypeError, match=f"in {name}: expected .* to be True or False, got 'no'"):
            call()
    for momentum in (float("nan"), 2.0, -1.5):
        with pytest.raises(ArgumentError, match="in batch_norm: expected momentum"):
            F.batch_norm(x, mean, var, training=True, momentum=momentum)
    assert mean.tolist() == [0.0, 0.0]


def test_the_deviation_of_equal_values_has_no_gradient() -> None:
    x = tg.tensor([3.0, 3.0], requires_grad=True)
    x.std().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_no_grad_decorates_without_parentheses() -> None:
    @tg.no_grad
    def double(x: tg.Tensor) -> tg.Tensor:
        return x * 2.0

    assert not double(tg.ones(1, requires_grad=True)).requires_grad


def test_a_module_given_for_an_activation_is_refused() -> None:
    with pytest.raises(DTypeError, match="activation to be a name"):
        nn.ConvBlock(1, 2, 3, order="swap", activation=nn.Tanh())


def test_a_model_given_for_its_parameters_is_refused() -> None:
    with pytest.raises(DTypeError, match=r"write model.parameters\(\)"):
        tg.optim.SGD(nn.Linear(1, 1), lr=0.1)
