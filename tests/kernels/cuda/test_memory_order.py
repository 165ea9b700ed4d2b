"""Arithmetic, padding and reading parts leave images channels-last, on an emulated GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes  # noqa: F401 - makes the name bfloat16 known to NumPy
import numpy as np
import pytest

from tinygrad_bn.backend import get_device
from tinygrad_bn.kernels.cuda.elementwise import ElementwiseOverrides
from tinygrad_bn.kernels.cuda.indexing import IndexingOverrides
from tinygrad_bn.kernels.reference import Kernels

REFERENCE = Kernels(get_device("cpu"))


class _Both(ElementwiseOverrides, IndexingOverrides):
    pass


@pytest.fixture
def kernels(emulated_gpu: Any) -> _Both:
    return _Both(get_device("cuda"))


def images(kernels: _Both, array: Any) -> Any:
    return kernels.device.from_host(array).transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


def is_channels_last(x: Any) -> bool:
    last: bool = x.transpose(0, 2, 3, 1).flags.c_contiguous
    return last and not x.flags.c_contiguous


def drawn(*shape: int, dtype: str = "float32") -> Any:
    return np.random.default_rng(len(shape)).uniform(0.5, 2.0, shape).astype(dtype)


BINARY = ["add", "subtract", "multiply", "divide", "floor_divide", "remainder"]
BINARY += ["power", "maximum", "minimum", "arctan2"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 3, 1, 1), (3, 1, 1), (5,), ()], ids=repr)
@pytest.mark.parametrize("name", BINARY)
def test_two_operands(kernels: _Both, name: str, shape: tuple[int, ...], dtype: str) -> None:
    a, b = drawn(2, 3, 4, 5, dtype=dtype), np.asarray(drawn(*shape, dtype=dtype))
    for first, second, x, y in (
        (a, b, images(kernels, a), kernels.device.from_host(b)),
        (b, a, kernels.device.from_host(b), images(kernels, a)),
    ):
        found, expected = getattr(kernels, name)(x, y), getattr(REFERENCE, name)(first, second)
        assert is_channels_last(found)
        assert found.dtype == expected.dtype
        host = kernels.device.to_host(found)
        np.testing.assert_allclose(host.astype("float64"), expected.astype("float64"), rtol=1e-6)


CALLS: list[Callable[[Any, Any], Any]] = [
    lambda k, x: k.add(x, 2.0),
    lambda k, x: k.subtract(1.0, x),
    lambda k, x: k.unary("exp", x),
    lambda k, x: k.rsqrt(x),
    lambda k, x: k.erf(x),
    lambda k, x: k.clip(x, 0.8, None),
    lambda k, x: k.compare("greater", x, 1.0),
    lambda k, x: k.where(k.compare("less", x, 1.0), x, 0.0),
    lambda k, x: k.astype(x, "float64"),
    lambda k, x: k.copy(x),
    lambda k, x: k.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), 0.5),
    lambda k, x: k.pad(x[:, :, ::2, ::2], ((0, 0), (1, 2), (0, 0), (0, 0)), 0.0),
    lambda k, x: k.scatter_add(x, (slice(None), slice(1, 4)), (2, 6, 4, 5), False),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_other_operations(kernels: _Both, number: int) -> None:
    x = drawn(2, 3, 4, 5)
    found, expected = CALLS[number](kernels, images(kernels, x)), CALLS[number](REFERENCE, x)
    assert is_channels_last(found)
    np.testing.assert_allclose(kernels.device.to_host(found), expected, rtol=1e-6)
    plain = CALLS[number](kernels, kernels.device.from_host(x))
    assert plain.flags.c_contiguous
    np.testing.assert_allclose(kernels.device.to_host(plain), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3,), (512, 9), (1000,), (3, 8)], ids=repr)
def test_sums_of_two_arrays_are_rounded_once(kernels: _Both, shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    found = kernels.device.to_host(kernels.add(*map(kernels.device.from_host, (a, b))))
    wide = "float64" if dtype == "float64" else "float32"
    np.testing.assert_array_equal(
        found.astype("float64"), (a.astype(wide) + b.astype(wide)).astype(dtype).astype("float64")
    )


def test_both_orders_meet(kernels: _Both) -> None:
    a, b = drawn(2, 3, 4, 5), drawn(2, 3, 4, 5)
    found = kernels.add(kernels.device.from_host(a), images(kernels, b))
    assert is_channels_last(found)
    np.testing.assert_array_equal(kernels.device.to_host(found), a + b)


def test_integers_and_empty_arrays(kernels: _Both) -> None:
    whole = np.arange(6).reshape(2, 3)
    found = kernels.add(kernels.device.from_host(whole), kernels.device.from_host(whole))
    np.testing.assert_array_equal(kernels.device.to_host(found), 2 * whole)
    empty = kernels.device.from_host(np.zeros((0, 3), "float32"))
    assert kernels.add(empty, empty).shape == (0, 3)


def test_repeated_places_add_up(kernels: _Both) -> None:
    values, index = np.arange(4.0), np.array([1, 1, 2, 1])
    found = kernels.scatter_add(kernels.device.from_host(values), kernels.device.from_host(index), (3,), True)
    np.testing.assert_array_equal(kernels.device.to_host(found), [0.0, 4.0, 2.0])
