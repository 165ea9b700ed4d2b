"""Activations at their kinks and far out, against PyTorch; what is random; what the parameters do to dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from cases import ACTIVATION_CASES
from compare import assert_close, compare_with_torch, torch
from memory import shares_memory

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn.errors import GraphError

# Every kink of every function, with both neighbours in float64.
KINKS = np.array(
    [v for k in (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0) for v in (k, *np.nextafter(k, (-9, 9)))]
)
FAR = np.array([-1e30, -1e4, -745.2, -709.9, -104.0, -88.8, -30.0, -20.0, 20.0, 30.0, 88.8, 104.0, 709.9, 1e4, 1e30])
THEIRS = {"hardsigmoid": torch.nn.functional.hardsigmoid}  # its own slopes at the limits


def _calls() -> list[Any]:
    return [pytest.param(*case, id=f"{case[0]}{case[1] or ''}") for case in ACTIVATION_CASES]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "arguments", "theirs"), _calls())
def test_kinks(name: str, arguments: dict[str, Any], theirs: Any, dtype: str) -> None:
    points = KINKS.astype(dtype)
    x, reference = tg.tensor(points, requires_grad=True), torch.tensor(points, requires_grad=True)
    ours, expected = getattr(F, name)(x, **arguments), THEIRS.get(name, theirs)(reference)
    ours.sum().backward()
    expected.sum().backward()
    # torch computes some constants in float32, and gelu(-3) in float32 less exactly than we do.
    np.testing.assert_allclose(ours.numpy(), expected.detach().numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), reference.grad.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "arguments", "theirs"), _calls())
def test_far_out(name: str, arguments: dict[str, Any], theirs: Any, dtype: str, second: bool) -> None:
    with np.errstate(over="ignore"):
        points = FAR.astype(dtype)
    if arguments.get("approximate") == "tanh":
        points = points[np.abs(points) < 1e20]  # whose cube is infinite in float32, in torch too
    x, reference = tg.tensor(points, requires_grad=True), torch.tensor(points, requires_grad=True)
    ours, expected = getattr(F, name)(x, **arguments), theirs(reference)
    (slope,) = tg.grad(ours.sum(), x, create_graph=second)
    (expected_slope,) = torch.autograd.grad(expected.sum(), reference, create_graph=second)
    assert_close(ours, expected, "value")
    assert_close(slope, expected_slope, "slope")
    if second and slope.requires_grad:
        assert np.isfinite(slope.numpy()).all()
        (curvature,) = tg.grad(slope.sum(), x, allow_unused=True)
        assert curvature is None or np.isfinite(curvature.numpy()).all()


@pytest.mark.parametrize("name", [n for n in F.ACTIVATIONS if n != "rrelu"])
def test_infinities_and_nan(name: str) -> None:
    function = F.ACTIVATIONS[name]
    y = function.function(tg.tensor([-math.inf, math.inf, math.nan])).numpy()
    assert np.isnan(y[2])
    if function.bounded and name != "softsign":  # inf / inf, in torch too
        np.testing.assert_allclose(y[:2], [function.left, function.right], rtol=1e-6)


@pytest.mark.parametrize("name", list(F.ACTIVATIONS))
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_stays(name: str, dtype: str) -> None:
    x = tg.tensor([-2.0, 0.0, 3.0], dtype=dtype, requires_grad=True)
    y = F.ACTIVATIONS[name].function(x)
    y.backward(np.ones(3))
    assert y.dtype == x.grad.dtype == x.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [(n, a) for n, a, _ in ACTIVATION_CASES if a and not any(isinstance(v, str) for v in a.values())],
)
def test_numpy_scalars_as_parameters_do_not_widen(name: str, arguments: dict[str, Any]) -> None:
    x = tg.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    wide = {k: v if isinstance(v, bool) else np.float64(v) for k, v in arguments.items()}
    y = getattr(F, name)(x, **wide)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), getattr(F, name)(x, **arguments).numpy())


def test_half_precision_does_not_overflow_inside() -> None:
    x = tg.tensor([15.0, 300.0, 20000.0, -300.0, 60000.0], dtype="float16")
    for name in ("softplus", "hardswish", "mish", "silu", "gelu", "softsign", "relu", "identity"):
        expected = F.ACTIVATIONS[name].function(x.astype("float64")).astype("float16")
        np.testing.assert_allclose(F.ACTIVATIONS[name].function(x).numpy(), expected.numpy(), rtol=2e-3, err_msg=name)


def test_rrelu_in_training_draws_a_slope_per_element() -> None:
    x = -tg.ones(1000)
    x.requires_grad_()
    tg.manual_seed(3)
    y = F.rrelu(x, 0.1, 0.4, training=True)
    y.sum().backward()
    slopes = -y.numpy()
    assert slopes.min() >= 0.1
    assert slopes.max() < 0.4
    assert abs(slopes.mean() - 0.25) < 0.02
    np.testing.assert_array_equal(x.grad.numpy(), slopes)
    tg.manual_seed(3)
    np.testing.assert_array_equal(F.rrelu(x, 0.1, 0.4, training=True).numpy(), y.numpy())


def test_rrelu_in_evaluation_takes_the_middle() -> None:
    assert F.rrelu(tg.tensor([-1.0, 2.0]), 0.2, 0.4).tolist() == pytest.approx([-0.3, 2.0])


def test_identity_shares_memory_and_notices_changes() -> None:
    x = tg.tensor([1.0, 2.0])
    w = tg.tensor([3.0, 4.0], requires_grad=True)
    y = F.identity(x)
    loss = (w * x).sum()
    y[0] = 5.0
    assert shares_memory(x, y)
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), ()])
def test_prelu_with_one_weight_for_every_shape(shape: tuple[int, ...]) -> None:
    compare_with_torch(
        F.prelu,
        torch.nn.functional.prelu,
        [np.random.default_rng(0).standard_normal(shape), np.array([0.3])],
        second=True,
    )


def test_get_activation_suggests_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'tanh'"):
        F.get_activation("tanhh")
