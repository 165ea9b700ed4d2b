"""float16 and bfloat16: stored in 16 bits, computed in 32; sums do not overflow where their result fits."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from cases import EVERYTHING, Case
from compare import cast, leaves

import tinygrad_bn as tg
from tinygrad_bn import functional as F

CASES = [case for case in EVERYTHING if case.half]


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_near_the_float64_result(case: Case) -> None:
    """Values and gradients, from the same inputs: rounded to float16 first."""
    arrays = cast(case.draw(), "float16")
    half, wide = leaves(arrays), leaves(cast(arrays, "float64"))
    output, expected = case.ours(*half), case.ours(*wide)
    assert output.dtype == np.float16
    _close(output, expected)
    start = np.asarray(np.random.default_rng(2).standard_normal(output.shape)).astype("float16")
    output.backward(start)
    expected.backward(start.astype("float64"))
    for x, reference in zip(half, wide, strict=True):
        if x.requires_grad:
            assert x.grad.dtype == np.float16
            _close(x.grad, reference.grad)


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_gradients_of_gradients_keep_the_dtype(case: Case, dtype: Any) -> None:
    inputs = leaves(cast(case.draw(), dtype))
    output = case.ours(*inputs)
    varied = [x for x in inputs if x.requires_grad]
    first = tg.grad(output.sum(), varied, create_graph=True, allow_unused=True)
    for x, slope in zip(varied, first, strict=True):
        if slope is not None:
            assert slope.dtype == dtype
            assert slope.shape == x.shape


def _close(actual: tg.Tensor, expected: tg.Tensor) -> None:
    values = expected.numpy()
    scale = np.abs(values[np.isfinite(values)]).max(initial=1.0)
    np.testing.assert_allclose(actual.numpy().astype("float64"), values, rtol=2e-2, atol=1e-2 * scale)


def test_means_and_variances_of_large_numbers_do_not_overflow() -> None:
    x = tg.full((2, 3, 40, 40), 300.0, dtype="float16") + tg.randn(2, 3, 40, 40, dtype="float16")
    assert abs(x.mean().item() - 300.0) < 1.0
    assert np.isfinite((x * 20).var().item())
    assert F.avg_pool2d(tg.full((1, 1, 8, 8), 60000.0, dtype="float16"), 8).item() == 60000.0
    assert F.adaptive_avg_pool2d(tg.full((1, 1, 8, 8), 60000.0, dtype="float16"), 1).item() == pytest.approx(
        60000, rel=1e-3
    )


def test_batch_norm_of_large_numbers() -> None:
    values = 300.0 * np.random.default_rng(0).standard_normal((16, 3, 8, 8)) + 1000.0
    x = tg.tensor(values, dtype="float16", requires_grad=True)
    mean, variance = tg.zeros(3), tg.ones(3)
    y = F.batch_norm(x, mean, variance, training=True)
    y.backward(tg.randn(*y.shape, dtype="float16"))
    assert y.dtype == x.grad.dtype == np.float16
    assert np.isfinite(x.grad.numpy()).all()
    np.testing.assert_allclose(y.numpy().astype("float64").std(axis=(0, 2, 3)), 1.0, atol=1e-2)
    np.testing.assert_allclose(variance.numpy(), 0.9 + 0.1 * values.var(axis=(0, 2, 3), ddof=1), rtol=1e-2)


def test_batch_norm_with_float32_parameters_beside_a_float16_input() -> None:
    x = tg.randn(4, 3, 5, 5, dtype="float16", requires_grad=True)
    weight, bias = tg.randn(3, requires_grad=True), tg.randn(3, requires_grad=True)
    mean, variance = tg.zeros(3), tg.ones(3)
    for training in (True, False):
        y = F.batch_norm(x, mean, variance, weight, bias, training)
        found = tg.grad(y.sum(), [x, weight, bias], create_graph=True)
        assert y.dtype == np.float16
        assert [g.dtype for g in found] == [np.float16, np.float32, np.float32]


def test_batch_norm_evaluation_with_tiny_variances() -> None:
    """eps is below the spacing of float16 near 1e-3; the running averages are read in float32."""
    x = tg.tensor(np.full((2, 1), 0.5), dtype="float16")
    mean, variance = tg.tensor([0.5 - 2**-11], dtype="float16"), tg.tensor([3e-5], dtype="float16")
    y = F.batch_norm(x, mean, variance, eps=1e-5)
    exact = (0.5 - float(mean.item())) / np.sqrt(float(variance.item()) + 1e-5)
    np.testing.assert_allclose(y.numpy(), exact, rtol=1e-3)


def test_sums_of_many_gradients_are_added_up_in_float32() -> None:
    x = tg.ones(1, dtype="float16", requires_grad=True)
    index = tg.zeros(5000, dtype="int64")
    x[index].sum().backward()
    assert x.grad.item() == 5000.0
    y = tg.ones(1, 1, dtype="float16", requires_grad=True)
    y.broadcast_to(4099, 2).sum().backward()
    assert y.grad.item() == 8200.0  # 8198, rounded


def test_softmax_over_many_classes() -> None:
    x = tg.zeros(2, 4096, dtype="float16", requires_grad=True)
    p = F.softmax(x, 1)
    np.testing.assert_allclose(p.numpy(), 1 / 4096, rtol=1e-3)
    np.testing.assert_allclose(F.log_softmax(x, 1).numpy(), -np.log(4096), rtol=1e-3)
    loss = F.cross_entropy(x, tg.tensor([0, 5], dtype="int64"))
    assert loss.item() == pytest.approx(np.log(4096), rel=1e-3)


def test_overflow_gives_infinity_without_a_warning() -> None:
    x = tg.full((3,), 60000.0, dtype="float16", requires_grad=True)
    y = x * 2.0
    assert np.isinf(y.numpy()).all()
    (y * x).sum().backward()
    assert np.isinf(x.grad.numpy()).all()
    assert np.isinf(tg.tensor([1e10], dtype="float16").item())
    assert np.isinf(tg.tensor(np.array([1e10])).astype("float16").item())
    assert np.isinf(tg.full((1,), 1e10, dtype="float16").item())
    z = tg.zeros(2, dtype="float16")
    z[0] = 1e10
    z.assign_(np.array([1.0, 1e10]))
    assert np.isinf(z.numpy()[1])
    mean, variance = tg.zeros(1, dtype="float16"), tg.ones(1, dtype="float16")
    F.batch_norm(tg.tensor([[-60000.0], [60000.0]], dtype="float16"), mean, variance, training=True, momentum=1.0)
    assert np.isinf(variance.item())
    assert np.isinf(np.asarray(tg.tensor([1e10]), dtype="float16")).all()


def test_infinite_values_pass_through_the_functions_silently() -> None:
    """Also through what is computed beside the graph: running averages, class weights, masks."""
    mean, variance = tg.zeros(1), tg.ones(1)
    for batch in ([[np.inf], [1.0]], [[-np.inf], [1.0]], [[1e30], [-1e30]], [[np.nan], [0.0]]):
        F.batch_norm(tg.tensor(batch), mean, variance, training=True)
    assert np.isnan(mean.item())
    labels = tg.tensor([0, 1], dtype="int64")
    losses = F.cross_entropy(tg.zeros(2, 2), labels, tg.tensor([np.inf, 1.0]), reduction="none")
    assert losses.tolist() == pytest.approx([np.inf, np.log(2.0)])
    half = tg.tensor([60000.0, 60000.0], dtype="float16")
    F.cross_entropy(tg.zeros(2, 2, dtype="float16"), labels, half)
    F.dropout(tg.ones(100_000, dtype="float16"), 1 - 1e-5)
    assert np.isinf(F.rrelu(-tg.ones(5, dtype="float16"), 1e6, 1e7, training=True).numpy()).all()
    x = tg.ones(1, dtype="float16", requires_grad=True)
    (x * 1.0).backward([1e10])
    assert np.isinf(x.grad.item())
