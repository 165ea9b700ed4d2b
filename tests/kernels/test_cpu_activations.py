"""Compiled activations against the reference in float64: every formula, value and gradient, in any memory order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import layouts

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.functional.activation import formula_parameters
from tinygrad_bn.kernels.cpu import CpuKernels, formulas
from tinygrad_bn.kernels.reference import Kernels
from tinygrad_bn.kernels.reference.activations import FORMULAS

CPU = get_device("cpu")
FAST, REFERENCE = CpuKernels(CPU), Kernels(CPU)

GIVEN: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in FORMULAS if name != "identity"),
    ("gelu", {"approximate": "tanh"}),
    ("hardtanh", {"min_val": -0.5, "max_val": 2.0}),
    ("leaky_relu", {"negative_slope": -0.2}),
    ("elu", {"alpha": 0.7}),
    ("celu", {"alpha": -1.5}),
    ("penalized_tanh", {"scale": 0.5}),
    ("shifted_tanh", {"shift": -2.0}),
    ("softplus", {"beta": 3.0, "threshold": 5.0}),
]
WITHOUT_EXPONENTIALS = ["softsign", "hardtanh", "hardsigmoid", "relu6", "relu", "leaky_relu", "hardswish"]
NORMAL_AND_SPECIAL = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 20.0, -20.0, 60.0, -60.0]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with np.errstate(all="ignore"):
        yield


def _inputs(dtype: str, size: int = 5000) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = np.concatenate([3.0 * rng.standard_normal(size), NORMAL_AND_SPECIAL])
    return x.astype(dtype), rng.standard_normal(x.shape).astype(dtype)


def _both_ways(kernels: Kernels, name: str, parameters: dict[str, Any], x: Any, grad: Any) -> tuple[Any, Any]:
    y = kernels.activation(name, x, parameters)
    uses = FORMULAS[name].uses
    kept = (x, None) if uses == "input" else (None, y)
    return y, kernels.activation_grad(name, grad, *kept, parameters)


@pytest.mark.parametrize(("name", "given"), GIVEN, ids=repr)
def test_float32_is_as_exact_as_its_rounding(name: str, given: dict[str, Any]) -> None:
    parameters = formula_parameters("test", name, given)
    x, grad = _inputs("float32")
    found = _both_ways(FAST, name, parameters, x, grad)
    expected = _both_ways(REFERENCE, name, parameters, x.astype("float64"), grad.astype("float64"))
    # A relative error of float32 in the value, and in what slopes such as 1 - y^2 are the difference of.
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6, atol=1e-5)
    assert found[0].dtype == found[1].dtype == np.float32


@pytest.mark.parametrize("name", WITHOUT_EXPONENTIALS)
def test_float64(name: str) -> None:
    parameters = formula_parameters("test", name, {})
    assert formulas.formula_of(name, parameters, np.dtype("float64")) is not None
    x, grad = _inputs("float64")
    found, expected = (_both_ways(k, name, parameters, x, grad) for k in (FAST, REFERENCE))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)
        assert a.dtype == np.float64


@pytest.mark.parametrize(("name", "given"), GIVEN, ids=repr)
def test_not_a_number_and_infinities_as_in_the_reference(name: str, given: dict[str, Any]) -> None:
    parameters = formula_parameters("test", name, given)
    x = np.array([np.nan, np.inf, -np.inf], dtype="float32")
    found, expected = (_both_ways(k, name, parameters, x, np.ones_like(x)) for k in (FAST, REFERENCE))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6, atol=1e-6)
    if name == "mish":  # the reference's slope at infinity is infinity * 0; here it is the limit
        expected[1][1] = 1.0
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["tanh", "leaky_relu"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (6, 5), (7,), ()])
def test_memory_order_is_kept_and_does_not_matter(name: str, shape: tuple[int, ...]) -> None:
    parameters = formula_parameters("test", name, {})
    rng = np.random.default_rng(0)
    x = np.asarray(rng.standard_normal(shape)).astype("float32")
    grad = np.asarray(rng.standard_normal(shape)).astype("float32")
    expected = _both_ways(REFERENCE, name, parameters, x, grad)
    variants = [("itself", x), *layouts(x)]
    if shape == (2, 3, 4, 5):
        variants.append(("another order of axes", np.ascontiguousarray(x.transpose(2, 0, 3, 1)).transpose(1, 3, 0, 2)))
    for layout, moved in variants:
        before = moved.copy()
        y = FAST.activation(name, moved, parameters)
        np.testing.assert_allclose(y, expected[0], rtol=1e-6, err_msg=layout)
        assert y.strides == REFERENCE.activation(name, moved, parameters).strides, layout
        assert not np.shares_memory(y, moved)
        for _, moved_grad in [("", grad), *layouts(grad)]:
            kept = (moved, None) if FORMULAS[name].uses == "input" else (None, y)
            found = FAST.activation_grad(name, moved_grad, *kept, parameters)
            np.testing.assert_allclose(found, expected[1], rtol=1e-6, atol=1e-6, err_msg=layout)
        np.testing.assert_array_equal(moved, before)


@pytest.mark.parametrize("name", ["tanh", "relu", "mish"])
def test_what_is_not_compiled_goes_to_the_reference(name: str) -> None:
    parameters: dict[str, Any] = {}
    half = np.linspace(-2.0, 2.0, 9).astype("float16")
    empty = np.empty((0, 3), dtype="float32")
    for x in (half, empty):
        found, expected = (_both_ways(k, name, parameters, x, np.ones_like(x)) for k in (FAST, REFERENCE))
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_threads_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    x, grad = _inputs("float32", 300_000)
    results = []
    for number in (1, 2):
        monkeypatch.setattr(threads, "_number", number)
        results.append(_both_ways(FAST, "tanh", {}, x, grad))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(results[0][0], np.tanh(x), rtol=1e-6)
