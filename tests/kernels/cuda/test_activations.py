"""The CUDA kernels of activations, on an emulated GPU, against the reference's formulas."""

from __future__ import annotations

import re
from typing import Any

import ml_dtypes  # noqa: F401 - makes the name bfloat16 known to NumPy
import numpy as np
import pytest

from tinygrad_bn.backend import get_device
from tinygrad_bn.functional.activation import formula_parameters
from tinygrad_bn.kernels.cuda import compiler
from tinygrad_bn.kernels.cuda.activations import ActivationOverrides, formula_of
from tinygrad_bn.kernels.reference import Kernels
from tinygrad_bn.kernels.reference.activations import FORMULAS

REFERENCE = Kernels(get_device("cpu"))
# Twice the distance from 1 to the next number, and for float32 and float64 what exponentials differ by.
TOLERANCE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-6, "float64": 1e-13}
NAMES = [*sorted(FORMULAS), "gelu_tanh"]
PARTS = ("scalars", "activations", "reduction", "norm_act")


@pytest.fixture(autouse=True)
def small_source(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compile these kernels alone: it is done for several activations and dtypes."""
    monkeypatch.setattr(compiler, "PARTS", PARTS)
    with np.errstate(all="ignore"):
        yield


@pytest.fixture
def kernels(emulated_gpu: Any) -> ActivationOverrides:
    return ActivationOverrides(get_device("cuda"))


def formula(name: str) -> tuple[str, dict[str, Any]]:
    """Return an activation and its parameters by the name that it has in the source."""
    if name == "gelu_tanh":
        return "gelu", {"approximate": "tanh"}
    return name, formula_parameters("test", name, {})


def assert_close(found: Any, expected: Any, tolerance: float, what: str = "") -> None:
    """Compare numbers near 1 relatively, smaller ones absolutely: beside a kink a slope may cancel."""
    wide = found.astype("float64")
    np.testing.assert_allclose(wide, expected.astype("float64"), rtol=tolerance, atol=tolerance, err_msg=what)


def test_the_source_has_every_formula() -> None:
    found = re.findall(r"^struct (\w+) : of_(\w+) {", compiler.source(), re.MULTILINE)
    expected = {name: FORMULAS[formula(name)[0]].uses for name in NAMES}
    assert dict(found) == {name: "input" if uses == "nothing" else uses for name, uses in expected.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_slopes(dtype: str, emulated_gpu: Any) -> None:
    attempts = "".join(
        f'extern "C" __global__ void try_{name}(const scalar* x, long long n, real p, real q, real* y, real* d) {{\n'
        f"  using f = activations::{name};\n"
        "  for (long long i = 0; i < n; ++i) {\n"
        "    y[i] = f::value(x[i], p, q);\n"
        "    d[i] = f::slope(f::from_output ? y[i] : x[i], p, q);\n  }\n}\n"
        for name in NAMES
    )
    code = compiler.source() + attempts
    module = emulated_gpu.RawModule(code=code, options=compiler.options(dtype, "identity"))
    largest = np.finfo(dtype).max
    special = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 20.0, np.inf, -np.inf, np.nan, largest, -largest, 1e-30, -1e-30]
    x = np.concatenate([np.linspace(-12, 12, 4801), special, [100.0, -100.0]]).astype(dtype)
    for name in NAMES:
        activation, parameters = formula(name)
        _, p, q = formula_of(activation, parameters)
        value, slope = (
            emulated_gpu.empty_like(emulated_gpu.asarray(x)),
            emulated_gpu.empty_like(emulated_gpu.asarray(x)),
        )
        numbers = np.int64(x.size), x.dtype.type(p), x.dtype.type(q)
        module.get_function(f"try_{name}")((1,), (1,), (emulated_gpu.asarray(x), *numbers, value, slope))
        expected = FORMULAS[activation].value(np, x, **parameters)
        assert_close(value.get(), expected, TOLERANCE[dtype], name)
        expected_slope = np.broadcast_to(FORMULAS[activation].slope(np, x, expected, **parameters), x.shape)
        assert_close(slope.get(), expected_slope, 4 * TOLERANCE[dtype], f"slope of {name}")


def test_parameters_arrive_in_their_order() -> None:
    assert formula_of("softplus", {"threshold": 7.0, "beta": 3.0}) == ("softplus", 3.0, 7.0)
    assert formula_of("hardtanh", {"max_val": 2, "min_val": -5}) == ("hardtanh", -5.0, 2.0)
    assert formula_of("gelu", {"approximate": "none"}) == ("gelu", 0.0, 0.0)
    assert formula_of("gelu", {"approximate": "tanh"}) == ("gelu_tanh", 0.0, 0.0)


def arrays_in_memory(kernels: Any, array: Any) -> dict[str, Any]:
    """Return an array's values on the GPU in several kinds of memory."""
    xp, x = kernels.xp, kernels.device.from_host(array)
    found = {"plain": x, "reversed axes": x.T.copy().T}
    wide = xp.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = x
    longer = xp.zeros(array.size + 1, array.dtype)
    longer[1:] = x.reshape(-1)
    found |= {"with gaps": wide[..., ::2], "not at 16 bytes": longer[1:].reshape(array.shape)}
    if array.ndim == 4:
        found["channels-last"] = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    return found


@pytest.mark.parametrize(
    ("dtype", "activation"),
    [("float32", "tanh"), ("float32", "gelu"), ("float64", "gelu"), ("float16", "tanh"), ("bfloat16", "gelu")],
)
@pytest.mark.parametrize("shape", [(3, 5, 4, 7), (2, 8, 4, 4), (11,), (1,), (), (70, 131), (0, 3)], ids=repr)
def test_arrays(kernels: ActivationOverrides, shape: tuple[int, ...], dtype: str, activation: str) -> None:
    rng = np.random.default_rng(0)
    x, grad = (np.asarray(3 * rng.standard_normal(shape)).astype(dtype) for _ in range(2))
    activation, parameters = formula(activation)
    wide = x.astype("float64")
    expected = np.asarray(REFERENCE.activation(activation, wide, parameters))
    expected_grad = REFERENCE.activation_grad(activation, grad.astype("float64"), wide, expected, parameters)
    memory = arrays_in_memory(kernels, x) if shape else {"plain": kernels.device.from_host(x)}
    for what, given in memory.items():
        found = kernels.activation(activation, given, parameters)
        assert found.dtype == dtype
        assert found.shape == shape
        assert_close(found.get(), expected, TOLERANCE[dtype], what)
        if what != "with gaps":
            assert found.strides == given.strides or x.size < 2, what
        gradient = kernels.activation_grad(activation, kernels.device.from_host(grad), given, found, parameters)
        assert gradient.dtype == dtype
        assert_close(gradient.get(), expected_grad, 5 * TOLERANCE[dtype], what)
        np.testing.assert_array_equal(given.get(), x)


def test_many_blocks(kernels: ActivationOverrides) -> None:
    for size in (3 * 8192, 3 * 8192 + 1, 3 * 8192 + 1023):
        x = np.random.default_rng(size).standard_normal(size).astype("float32")
        found = kernels.activation("relu", kernels.device.from_host(x), {}).get()
        np.testing.assert_array_equal(found, np.maximum(x, 0))


def test_gradient_from_what_the_formula_uses(kernels: ActivationOverrides) -> None:
    x = kernels.device.from_host(np.array([-1.0, 0.5, 2.0], "float32"))
    ones = kernels.device.from_host(np.ones(3, "float32"))
    y = kernels.activation("tanh", x, {})
    found = kernels.activation_grad("tanh", ones, None, y, {}).get()
    np.testing.assert_allclose(found, 1 - np.tanh([-1.0, 0.5, 2.0]) ** 2, rtol=1e-6)
    found = kernels.activation_grad("silu", ones, x, None, {}).get()
    np.testing.assert_allclose(found, [0.0723295, 0.7399612, 1.0907843], rtol=1e-6)


def test_a_gradient_of_another_dtype_is_left_to_the_reference(kernels: ActivationOverrides) -> None:
    x = kernels.device.from_host(np.array([-1.0, 0.5, 2.0], "float32"))
    grad = kernels.device.from_host(np.array([1.0, 1.0, 3.0], "float64"))
    found = kernels.activation_grad("relu", grad, x, kernels.activation("relu", x, {}), {})
    assert found.dtype == "float64"
    np.testing.assert_array_equal(found.get(), [0.0, 1.0, 3.0])
