"""Compiled updates of many parameters against the reference, step by step."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from compare import layouts

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.kernels import AdamSettings, SgdSettings, Skip
from tinygrad_bn.kernels.cpu.updates import UpdateOverrides
from tinygrad_bn.kernels.reference import Kernels

CPU = get_device("cpu")
FAST, REFERENCE = UpdateOverrides(CPU), Kernels(CPU)
SHAPES = [(3, 2), (), (5000,), (1,), (4, 3, 33, 31), (0, 3), (8192,)]
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}


@pytest.fixture(params=[1, 2])
def number_of_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "_number", request.param)
    number: int = request.param
    return number


def draw(seed: int, dtype: str) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]


def sgd(learning_rate: float, momentum: float, weight_decay: float, nesterov: bool = False) -> Any:
    """Return the settings of a step without dampening that is not the first."""
    return lambda: SgdSettings(learning_rate, momentum, 0.0, weight_decay, nesterov, False)


def assert_same(found: list[Any], expected: list[Any], dtype: str) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def sgd_steps(kernels: Kernels, dtype: str, momentum: float, *rest: Any) -> list[Any]:
    parameters = draw(0, dtype)
    velocities = [np.full_like(p, np.nan) for p in parameters] if momentum else None
    for step in range(3):
        settings = SgdSettings(0.1, momentum, *rest, step == 0)
        kernels.sgd_all(parameters, draw(1 + step, dtype), velocities, lambda now=settings: now)
    return parameters + (velocities or [])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", [(0.0, 0.0), (0.9, 0.0), (0.9, 0.3)], ids=repr)
@pytest.mark.parametrize(("weight_decay", "nesterov"), [*itertools.product([0.0, 0.01], [False, True])])
def test_sgd(dtype: str, settings: tuple[float, float], weight_decay: float, nesterov: bool) -> None:
    rest = (*settings, weight_decay, nesterov)
    assert_same(sgd_steps(FAST, dtype, *rest), sgd_steps(REFERENCE, dtype, *rest), dtype)


def adam_steps(kernels: Kernels, dtype: str, *rest: Any) -> list[Any]:
    parameters = draw(0, dtype)
    means, squares = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    for step in range(1, 4):
        settings = AdamSettings(step, 0.1, (0.8, 0.95), 1e-6, *rest)
        kernels.adam_all(parameters, draw(step, dtype), means, squares, lambda now=settings: now)
    return parameters + means + squares


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("weight_decay", "decoupled"), [*itertools.product([0.0, 0.1], [False, True])])
def test_adam(dtype: str, weight_decay: float, decoupled: bool) -> None:
    rest = (weight_decay, decoupled)
    assert_same(adam_steps(FAST, dtype, *rest), adam_steps(REFERENCE, dtype, *rest), dtype)


def test_several_threads_do_the_same(number_of_threads: int) -> None:
    large = [np.random.default_rng(i).standard_normal(300_001).astype("float32") for i in range(3)]
    expected = [a.copy() for a in large]
    for kernels, (parameter, gradient, velocity) in ((FAST, large), (REFERENCE, expected)):
        kernels.sgd_all([parameter], [gradient], [velocity], sgd(0.1, 0.9, 0.01))
    assert_same(large, expected, "float32")


def test_gradients_are_not_changed_and_may_be_the_parameters_themselves() -> None:
    parameter, gradient = np.ones(10, "float32"), np.full(10, 2.0, "float32")
    FAST.sgd_all([parameter], [gradient], None, sgd(0.5, 0.0, 0.0))
    np.testing.assert_array_equal(gradient, 2.0)
    np.testing.assert_array_equal(parameter, 0.0)
    FAST.sgd_all([gradient], [gradient], None, sgd(0.5, 0.0, 0.0))
    np.testing.assert_array_equal(gradient, 1.0)


def test_nan_and_infinity_are_values_like_any_other() -> None:
    start, gradient = np.array([np.inf, 1.0, 2.0, 3.0]), np.array([1.0, np.inf, np.nan, 1.0])
    for weight_decay, nesterov in itertools.product([0.0, 0.1], [False, True]):
        results = []
        for kernels in (FAST, REFERENCE):
            parameter, velocity = start.copy(), np.array([1.0, -np.inf, 1.0, np.inf])
            with np.errstate(invalid="ignore"):
                kernels.sgd_all([parameter], [gradient], [velocity], sgd(0.1, 0.9, weight_decay, nesterov))
            results.append(np.concatenate([parameter, velocity]))
        np.testing.assert_allclose(*results, rtol=1e-15)


def test_what_is_not_covered_goes_to_the_reference() -> None:
    parameter, gradient = np.arange(12.0).reshape(3, 4), np.ones((3, 4))
    expected = parameter - 0.5
    for what, moved in layouts(gradient):
        found = parameter.copy()
        FAST.sgd_all([found], [moved], None, sgd(0.5, 0.0, 0.0))
        np.testing.assert_array_equal(found, expected, err_msg=what)
    wide = np.zeros((3, 8))
    wide[:, ::2] = parameter
    FAST.sgd_all([wide[:, ::2], parameter], [gradient, gradient], None, sgd(0.5, 0.0, 0.0))
    np.testing.assert_array_equal(wide[:, ::2], expected)
    np.testing.assert_array_equal(wide[:, 1::2], 0.0)
    np.testing.assert_array_equal(parameter, expected)
    half = [np.ones(3, "float16") for _ in range(4)]
    FAST.adam_all(*([a] for a in half), lambda: AdamSettings(1, 0.5, (0.9, 0.9), 1e-3, 0.0, False))
    assert half[0].dtype == "float16"
    assert (half[0] < 1).all()


@pytest.mark.parametrize("skipped", [False, True])
def test_steps_that_may_be_skipped(skipped: bool) -> None:
    results = []
    for kernels in (FAST, REFERENCE):
        arrays = [draw(seed, "float32") for seed in range(4)]
        for square in arrays[3]:
            np.abs(square, out=square)
        skip = Skip(np.array(skipped), np.array(2))
        kernels.count_step(skip)
        assert skip.taken == (2 if skipped else 3)
        kernels.sgd_all(*arrays[:3], lambda: SgdSettings(0.1, 0.9, 0.3, 0.0, False, True), skip)
        kernels.adam_all(*arrays, lambda: AdamSettings(9, 0.1, (0.8, 0.95), 1e-6, 0.1, True), skip)
        results.append([array for column in arrays for array in column])
    assert_same(*results, "float32")
    if skipped:
        for found, before in zip(results[0][: len(SHAPES)], draw(0, "float32"), strict=True):
            np.testing.assert_array_equal(found, before)
