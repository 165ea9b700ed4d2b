"""Elementwise arithmetic into memory from the pool: NumPy's values, dtypes and memory order."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from compare import layouts

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device
from tinygrad_bn.kernels.cpu.elementwise import ElementwiseOverrides
from tinygrad_bn.kernels.reference import Kernels

CPU = get_device("cpu")
FAST, REFERENCE = ElementwiseOverrides(CPU), Kernels(CPU)
SHAPE = (3, 8, 40, 50)
BINARY = ["add", "subtract", "multiply", "divide", "maximum", "minimum"]
UNARY = ["exp", "sqrt", "sin", "floor", "negative", "absolute", "sign", "isnan", "isfinite", "logical_not", "square"]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with np.errstate(all="ignore"):
        yield


def operands(dtype: str) -> list[Any]:
    rng = np.random.default_rng(0)
    shapes = [SHAPE, (1, 8, 1, 1), (8, 1, 1), (50,), (3, 1, 40, 50), (1, *SHAPE), (), (1,)]
    arrays = [(4.0 * rng.standard_normal(shape)).astype(dtype) if shape else np.array(2, dtype) for shape in shapes]
    return [*arrays, np.ascontiguousarray(arrays[0].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)]


def assert_identical(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.strides == expected.strides


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("first", "second"), [*itertools.product(["float32", "float64", "int32"], repeat=2)])
def test_two_arrays(name: str, first: str, second: str) -> None:
    for a, b in itertools.product(operands(first), operands(second)):
        before = a.copy(), b.copy()
        assert_identical(getattr(FAST, name)(a, b), getattr(REFERENCE, name)(a, b))
        np.testing.assert_array_equal(a, before[0])
        np.testing.assert_array_equal(b, before[1])


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_numbers(name: str, dtype: str) -> None:
    for a, number in itertools.product(operands(dtype), [2, -0.5, np.nan, np.float64(1.5), np.float32(3), True]):
        assert_identical(getattr(FAST, name)(a, number), getattr(REFERENCE, name)(a, number))
        assert_identical(getattr(FAST, name)(number, a), getattr(REFERENCE, name)(number, a))


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64"])
def test_one_array(dtype: str) -> None:
    for x in operands(dtype):
        for name in UNARY:
            if dtype != "int64" or name not in ("exp", "sqrt", "sin"):
                assert_identical(FAST.unary(name, x), REFERENCE.unary(name, x))
        for low, high in ((-1.0, 1.0), (None, 0.5), (0.5, None)):
            assert_identical(FAST.clip(x, low, high), REFERENCE.clip(x, low, high))
        assert_identical(FAST.copy(x), REFERENCE.copy(x))
        for other in ("float32", "float64", "int32", "bool"):
            assert_identical(FAST.astype(x, other), REFERENCE.astype(x, other))


def test_any_memory() -> None:
    x = np.random.default_rng(0).standard_normal(SHAPE)
    for _, moved in layouts(x):
        assert_identical(FAST.add(moved, 1.0), REFERENCE.add(moved, 1.0))
        assert_identical(FAST.multiply(moved, moved), REFERENCE.multiply(moved, moved))
        assert_identical(FAST.copy(moved), REFERENCE.copy(moved))
        assert_identical(FAST.unary("exp", moved), REFERENCE.unary("exp", moved))


def test_large_results_come_from_the_pool_and_are_never_shared() -> None:
    x = np.ones((300, 300), "float32")
    FAST.add(x, 1.0)
    fresh = CPU.memory.fresh
    kept = FAST.add(x, 1.0)
    assert CPU.memory.fresh == fresh
    other = FAST.add(x, 2.0)
    assert not np.shares_memory(kept, other)
    assert (kept == 2.0).all()
