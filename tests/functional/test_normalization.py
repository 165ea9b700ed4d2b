"""BatchNorm's running averages and refusals, dropout's mask."""

from __future__ import annotations

import numpy as np
import pytest
from compare import assert_close, compare_with_torch, torch
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import ops
from tinygrad_bn.backend import get_device
from tinygrad_bn.errors import ArgumentError, GraphError
from tinygrad_bn.kernels import kernels_of
from tinygrad_bn.kernels.reference.batch_norm import RunningAverages

TF = torch.nn.functional
SHAPES = [(5, 3), (4, 3, 2, 5), (4, 3, 6), (2, 3, 2, 2, 3), (2, 3)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0, 0.35])
@pytest.mark.parametrize("shape", SHAPES)
def test_running_averages_move_as_in_torch(shape: tuple[int, ...], momentum: float, dtype: str) -> None:
    rng = np.random.default_rng(0)
    mean, variance = tg.tensor(rng.standard_normal(3), dtype=dtype), tg.tensor(rng.uniform(0.5, 2, 3), dtype=dtype)
    mean_reference, variance_reference = (torch.tensor(t.numpy().copy()) for t in (mean, variance))
    memory = mean.data
    for _ in range(3):
        x = (3.0 + 2.0 * rng.standard_normal(shape)).astype(dtype)
        y = F.batch_norm(tg.tensor(x), mean, variance, training=True, momentum=momentum)
        expected = TF.batch_norm(torch.tensor(x), mean_reference, variance_reference, training=True, momentum=momentum)
        assert_close(y, expected)
        assert_close(mean, mean_reference)
        assert_close(variance, variance_reference)
    assert mean.data is memory


def test_batches_are_counted_where_averages_move() -> None:
    x, mean, variance, batches = tg.randn(4, 3), tg.zeros(3), tg.ones(3), tg.zeros((), dtype="int64")
    before = batches.version.count
    F.batch_norm(x, mean, variance, training=True, num_batches_tracked=batches)
    F.norm_act(x, mean, variance, training=True, order="swap", num_batches_tracked=batches)
    F.norm_act(x, mean, variance, num_batches_tracked=batches)
    assert batches.item() == 2
    assert batches.version.count == before + 2


@pytest.mark.parametrize(
    ("mean", "batches", "complaint"),
    [
        (tg.zeros(3), 5, "num_batches_tracked"),
        (tg.zeros(3), tg.zeros((), dtype="float32"), "int64"),
        (tg.zeros(3), tg.zeros(3, dtype="int64"), "shape"),
        (None, tg.zeros((), dtype="int64"), "running averages"),
    ],
)
def test_wrong_counts_of_batches(mean: tg.Tensor | None, batches: tg.Tensor, complaint: str) -> None:
    variance = None if mean is None else tg.ones(3)
    with pytest.raises(ArgumentError, match=complaint):
        F.batch_norm(tg.randn(4, 3), mean, variance, training=True, num_batches_tracked=batches)


def test_an_operation_moves_the_averages_once() -> None:
    """It is run again where its time is measured."""
    mean, variance, batches = (np.array(value) for value in ([0.0, 0.0], [1.0, 1.0], 0))
    averages = RunningAverages(mean, variance, 0.1, batches)
    kernels, x = kernels_of(get_device("cpu")), np.array([[1.0, 2.0], [3.0, 5.0]])
    for op in (ops.BatchNorm(1e-5, averages), ops.NormAct(1e-5, "swap", "relu", {}, averages)):
        before = batches.item()
        first = op.forward(kernels, x, None, None)
        moved = mean.copy(), variance.copy()
        np.testing.assert_array_equal(op.forward(kernels, x, None, None), first)
        np.testing.assert_array_equal((mean, variance), moved)
        assert batches.item() == before + 1


def test_evaluation_and_no_grad_differ() -> None:
    """no_grad does not stop the running averages; evaluation does."""
    x, mean, variance = tg.randn(4, 3), tg.zeros(3), tg.ones(3)
    F.batch_norm(x, mean, variance)
    assert mean.tolist() == [0.0, 0.0, 0.0]
    assert variance.tolist() == [1.0, 1.0, 1.0]
    with tg.no_grad():
        F.batch_norm(x, mean, variance, training=True)
    np.testing.assert_allclose(mean.numpy(), 0.1 * x.numpy().mean(axis=0), rtol=1e-5)


@given(st.integers(0, 1000), st.sampled_from(SHAPES), st.booleans(), st.booleans(), st.booleans(), st.floats(1e-8, 10))
def test_any_arguments(seed: int, shape, weighted: bool, biased: bool, training: bool, eps: float) -> None:
    rng = np.random.default_rng(seed)
    mean, variance = rng.standard_normal(3), rng.uniform(0.1, 2, 3)
    arrays = [rng.standard_normal(shape), *(rng.standard_normal(3) for wanted in (weighted, biased) if wanted)]

    def call(function, make, x, *parameters):
        rest = iter(parameters)
        weight = next(rest) if weighted else None
        bias = next(rest) if biased else None
        return function(x, make(mean), make(variance), weight, bias, training, 0.2, eps)

    compare_with_torch(
        lambda *t: call(F.batch_norm, tg.tensor, *t), lambda *t: call(TF.batch_norm, torch.tensor, *t), arrays
    )


def test_variance_is_not_taken_in_one_pass() -> None:
    """E[x^2] - E[x]^2 in float32 would be wrong by more than the variance here, even negative."""
    noise = np.random.default_rng(0).standard_normal((64, 2, 4, 4))
    x = tg.tensor(1000.0 + 0.01 * noise, dtype="float32")
    mean, variance = tg.zeros(2), tg.zeros(2)
    y = F.batch_norm(x, mean, variance, training=True, momentum=1.0, eps=1e-12)
    exact = x.numpy().astype("float64").var(axis=(0, 2, 3), ddof=1)
    np.testing.assert_allclose(variance.numpy(), exact, rtol=2e-2)
    assert np.isfinite(y.numpy()).all()


def test_eps_counts_once_and_inside_the_root() -> None:
    x = tg.tensor([[0.0], [2.0]], dtype="float64")
    y = F.batch_norm(x, None, None, training=True, eps=3.0)
    np.testing.assert_allclose(y.numpy(), [[-0.5], [0.5]])
    z = F.batch_norm(x, tg.zeros(1, dtype="float64"), tg.ones(1, dtype="float64"), eps=3.0)
    np.testing.assert_allclose(z.numpy(), [[0.0], [1.0]])


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1), (1, 3, 1)])
def test_one_value_per_channel_names_shape_and_remedy_and_changes_nothing(shape: tuple[int, ...]) -> None:
    mean, variance = tg.zeros(3), tg.ones(3)
    with pytest.raises(ValueError, match=r"at least 2 values per channel.*\(1, 3.*eval\(\)"):
        F.batch_norm(tg.randn(*shape), mean, variance, training=True)
    assert mean.tolist() == [0.0] * 3
    assert variance.tolist() == [1.0] * 3
    assert np.isfinite(F.batch_norm(tg.randn(*shape), mean, variance).numpy()).all()


def test_running_averages_changed_after_an_evaluation_are_noticed() -> None:
    x, mean, variance = tg.randn(4, 3, requires_grad=True), tg.zeros(3), tg.ones(3)
    y = F.batch_norm(x, mean, variance)
    F.batch_norm(x, mean, variance, training=True)
    with pytest.raises(GraphError, match="changed in place"):
        y.sum().backward()


def test_constant_channels_stay_finite() -> None:
    x = tg.full((4, 2, 3, 3), 5.0, requires_grad=True)
    y = F.batch_norm(x, None, None, training=True)
    y.backward(tg.randn(*y.shape))
    np.testing.assert_array_equal(y.numpy(), 0.0)
    assert np.isfinite(x.grad.numpy()).all()


def test_input_of_no_channels_and_of_no_images() -> None:
    assert F.batch_norm(tg.zeros(0, 3, 2, 2), tg.zeros(3), tg.ones(3)).shape == (0, 3, 2, 2)
    with pytest.raises(ValueError, match="at least 2 values per channel"):
        F.batch_norm(tg.zeros(0, 3, 2, 2), tg.zeros(3), tg.ones(3), training=True)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_dropout_keeps_the_expected_value(p: float) -> None:
    x = tg.ones(200, 200, requires_grad=True)
    y = F.dropout(x, p)
    y.sum().backward()
    values = set(np.unique(y.numpy()).tolist())
    assert values <= {0.0, np.float32(1 / (1 - p)).item() if p < 1 else 0.0}
    assert abs((y.numpy() == 0).mean() - p) < 0.01
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_dropout_repeats_with_the_seed_and_draws_anew_without() -> None:
    x = tg.ones(1000)
    tg.manual_seed(1)
    first, second = F.dropout(x), F.dropout(x)
    tg.manual_seed(1)
    np.testing.assert_array_equal(F.dropout(x).numpy(), first.numpy())
    assert (first.numpy() != second.numpy()).any()


def test_dropout_in_evaluation_is_the_input() -> None:
    x = tg.randn(5, requires_grad=True)
    assert F.dropout(x, 0.9, training=False) is x


def test_dropout_in_the_backward_pass_uses_the_same_mask_again_for_the_second_derivative() -> None:
    x = tg.randn(50, dtype="float64", requires_grad=True)
    y = F.dropout(x, 0.5)
    (slope,) = tg.grad((y * y).sum(), x, create_graph=True)
    (curvature,) = tg.grad(slope.sum(), x)
    np.testing.assert_allclose(curvature.numpy(), np.where(y.numpy() == 0, 0.0, 8.0))
