"""Compiled batch norm, alone and with an activation, against the reference in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import layouts
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.functional.activation import formula_parameters
from tinygrad_bn.kernels.cpu import CpuKernels
from tinygrad_bn.kernels.reference import Kernels
from tinygrad_bn.kernels.reference.activations import FORMULAS

CPU = get_device("cpu")
FAST, REFERENCE = CpuKernels(CPU), Kernels(CPU)
EPS = 1e-5
# Norm of the error over norm of the result; well-conditioned inputs.
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
ORDERS = ("convention", "swap")
CHANNELS = [1, 3, 8, 10, 33, 64, 513]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with np.errstate(all="ignore"):
        yield


def _near(found: Any, expected: Any, tolerance: float, what: str) -> None:
    assert found.shape == expected.shape, what
    error = np.linalg.norm((found - expected).ravel()) / max(np.linalg.norm(expected.ravel()), 1e-30)
    assert error <= tolerance, f"{what}: relative error {error:.1e}"


def _draw(shape: tuple[int, ...], dtype: str, seed: int = 0) -> list[Any]:
    """Return x, the output's gradient, weight and bias; channels differ in mean and width."""
    rng = np.random.default_rng(seed)
    channels = shape[1]
    per_channel = (1, channels, *[1] * (len(shape) - 2))
    x = rng.standard_normal(shape) * rng.uniform(0.5, 2.0, per_channel) + rng.standard_normal(per_channel)
    grad = rng.standard_normal(shape)
    return [a.astype(dtype) for a in (x, grad, rng.uniform(0.5, 2.0, channels), rng.standard_normal(channels))]


def _channels_last(x: Any) -> Any:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if x.ndim == 4 else x


def _all_results(kernels: Kernels, arrays: list[Any], settings: tuple[Any, ...]) -> dict[str, Any]:
    """Training and evaluation, both ways. Evaluation takes statistics that are not those of x."""
    x, grad, weight, bias = arrays
    output, mean, variance = kernels.norm_act(x, weight, bias, *settings)
    training = kernels.norm_act_grad(grad, x, mean, variance, weight, bias, *settings)
    rng = np.random.default_rng(9)
    given_mean, given_variance = (rng.uniform(0.5, 1.5, len(mean)).astype(x.dtype) for _ in range(2))
    evaluated = kernels.norm_act_eval(x, given_mean, given_variance, weight, bias, *settings)
    evaluation = kernels.norm_act_eval_grad(grad, x, given_mean, given_variance, weight, bias, *settings)
    names = ("output", "mean", "variance", "grad x", "grad weight", "grad bias")
    names += ("eval output", "eval grad x", "eval grad weight", "eval grad bias")
    return dict(zip(names, (output, mean, variance, *training, evaluated, *evaluation), strict=True))


def _compare(arrays: list[Any], settings: tuple[Any, ...], what: str = "") -> None:
    exact = [None if a is None else a.astype("float64") for a in arrays]
    expected = _all_results(REFERENCE, exact, settings)
    before = [None if a is None else a.copy() for a in arrays]
    for name, found in _all_results(FAST, arrays, settings).items():
        assert found.dtype == arrays[0].dtype
        _near(found, expected[name], TOLERANCE[arrays[0].dtype.name], f"{what} {name}")
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old, err_msg="an input was changed")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("activation", sorted(FORMULAS))
def test_every_activation(activation: str, order: str) -> None:
    settings = (EPS, order, activation, formula_parameters("test", activation, {}))
    _compare([_channels_last(a) if a.ndim == 4 else a for a in _draw((6, 10, 7, 5), "float32")], settings)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_every_number_of_channels(channels: int, dtype: str) -> None:
    for shape in ((40, channels), (5, channels, 4, 3), (33, channels, 9, 9) if channels < 64 else (1, channels, 3, 3)):
        arrays = [_channels_last(a) for a in _draw(shape, dtype)]
        for activation in ("identity", "leaky_relu", "softsign"):
            for order in ORDERS:
                parameters = formula_parameters("test", activation, {})
                _compare(arrays, (EPS, order, activation, parameters), f"{shape} {activation} {order}")


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(3, 9), st.integers(1, 40), st.integers(2, 9), st.integers(2, 9)),
    order=st.sampled_from(ORDERS),
    activation=st.sampled_from(["identity", "relu", "tanh", "softsign", "gelu"]),
    absent=st.sets(st.sampled_from([2, 3])),
    last=st.booleans(),
    eps=st.sampled_from([1e-5, 1e-2]),
    seed=st.integers(0, 99),
)
def test_random_shapes(
    shape: tuple[int, ...], order: str, activation: str, absent: set[int], last: bool, eps: float, seed: int
) -> None:
    arrays = [_channels_last(a) if last else a for a in _draw(shape, "float32", seed)]
    arrays = [None if i in absent else a for i, a in enumerate(arrays)]
    _compare(arrays, (eps, order, activation, formula_parameters("test", activation, {})))


@pytest.mark.parametrize("order", ORDERS)
def test_every_memory_layout(order: str) -> None:
    settings = (EPS, order, "tanh", {})
    arrays = _draw((3, 4, 5, 6), "float32")
    for number, array in enumerate(arrays):
        for layout, moved in layouts(array):
            _compare([moved if i == number else a for i, a in enumerate(arrays)], settings, f"{number}: {layout}")


def test_batch_norm_alone() -> None:
    for dtype in ("float32", "float64"):
        for shape in ((50, 7), (4, 7, 6, 5)):
            x, grad, weight, bias = _draw(shape, dtype)
            exact = [a.astype("float64") for a in (x, grad, weight, bias)]
            mean, variance = FAST.batch_norm_statistics(x)
            found = [mean, variance, FAST.batch_norm(x, mean, variance, weight, bias, EPS)]
            found += FAST.batch_norm_grad(grad, x, mean, variance, weight, EPS)
            found += FAST.batch_norm_eval_grad(grad, x, mean, variance, weight, EPS)
            m, v = REFERENCE.batch_norm_statistics(exact[0])
            expected = [m, v, REFERENCE.batch_norm(exact[0], m, v, *exact[2:], EPS)]
            expected += REFERENCE.batch_norm_grad(exact[1], exact[0], m, v, exact[2], EPS)
            expected += REFERENCE.batch_norm_eval_grad(exact[1], exact[0], m, v, exact[2], EPS)
            for i, (a, b) in enumerate(zip(found, expected, strict=True)):
                assert a.dtype == dtype
                _near(a, b, TOLERANCE[dtype], f"{shape} result {i}")


@pytest.mark.parametrize("offset", [0.0, 1e2, 1e4])
def test_statistics_are_exact_far_from_zero(offset: float) -> None:
    """The variance of values around 10,000 that differ by 1, to nearly all digits of float32."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((64, 5, 28, 28)) + offset).astype("float32")
    exact = x.astype("float64")
    for values in (x, _channels_last(x)):
        mean, variance = FAST.batch_norm_statistics(values)
        exact_mean, exact_variance = exact.mean(axis=(0, 2, 3)), exact.var(axis=(0, 2, 3))
        np.testing.assert_allclose(mean, exact_mean, rtol=1.2e-7, atol=1e-7)
        np.testing.assert_allclose(variance, exact_variance, rtol=5e-7)


def test_statistics_of_a_mean_that_drifts() -> None:
    """Blocks of rows with very different means are combined without loss."""
    x = np.repeat(np.linspace(-1e3, 1e3, 200), 1000)[:, None] + np.random.default_rng(0).standard_normal((200_000, 2))
    x = x.astype("float32")
    mean, variance = FAST.batch_norm_statistics(x)
    np.testing.assert_allclose(mean, x.astype("float64").mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(variance, x.astype("float64").var(axis=0), rtol=3e-7)


def test_one_row_and_equal_rows() -> None:
    x = np.full((1, 6), 3.0, dtype="float32")
    mean, variance = FAST.batch_norm_statistics(x)
    np.testing.assert_array_equal(mean, x[0])
    np.testing.assert_array_equal(variance, 0.0)
    for array in (x, np.full((50, 6), 0.1, dtype="float32")):
        output, mean, variance = FAST.norm_act(array, None, None, EPS, "convention", "identity", {})
        np.testing.assert_array_equal(output, 0.0)
        np.testing.assert_array_equal(variance, 0.0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("activation", ["identity", "relu", "softsign"])
def test_not_a_number_and_infinities_stay_in_their_channel(activation: str, order: str) -> None:
    arrays = _draw((5, 6, 4, 4), "float32")
    arrays[0][2, 1, 1, 1] = np.nan
    arrays[0][2, 2, 1, 1] = np.inf
    arrays[0][2, 3, 1, 1] = -np.inf
    arrays[1][2, 4, 1, 1] = np.nan
    settings = (EPS, order, activation, {})
    expected = _all_results(REFERENCE, arrays, settings)
    for name, found in _all_results(FAST, arrays, settings).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("order", ORDERS)
def test_the_result_does_not_depend_on_the_number_of_threads(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = [_channels_last(a) if a.ndim == 4 else a for a in _draw((16, 24, 28, 28), "float32")]
    results = []
    for number in (1, 2):
        monkeypatch.setattr(threads, "_number", number)
        results.append(_all_results(FAST, arrays, (EPS, order, "tanh", {})))
    for name, one in results[0].items():
        np.testing.assert_array_equal(one, results[1][name], err_msg=name)


def test_what_is_not_compiled_goes_to_the_reference() -> None:
    for shape, dtype in (((4, 3, 5), "float32"), ((2, 3, 2, 2, 2), "float32"), ((4, 3), "float16")):
        x, _, weight, bias = _draw(shape, dtype)
        mean, variance = FAST.batch_norm_statistics(x)
        wide = [a.astype(mean.dtype) for a in (weight, bias)]
        found = FAST.batch_norm(x, mean, variance, *wide, EPS)
        np.testing.assert_array_equal(found, REFERENCE.batch_norm(x, mean, variance, *wide, EPS))
        assert found.dtype == dtype
