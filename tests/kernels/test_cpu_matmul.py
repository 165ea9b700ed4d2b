"""Compiled products of matrices, and the panels that they read, against NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from guarded import guarded
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from tinygrad_bn.backend import get_device, threads
from tinygrad_bn.kernels.cpu import CpuKernels, launch
from tinygrad_bn.kernels.cpu.panels import packed
from tinygrad_bn.kernels.cpu.tile import VECTOR_BYTES

CPU = get_device("cpu")
FAST = CpuKernels(CPU)
# Norm of the error over norm of the result.
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}
LENGTH = st.integers(1, 40) | st.sampled_from([63, 64, 65, 127, 200])


def draw_matrix(rng: np.random.Generator, shape: tuple[int, int], dtype: str, order: str) -> Any:
    """Random numbers in one of several memory orders; memory between or around them is NaN."""
    values = rng.standard_normal(shape).astype(dtype)
    if order == "transposed":
        return np.asfortranarray(values)
    if order == "transposed part":
        wide = np.full((shape[1] + 2, shape[0] + 3), np.nan, dtype)
        wide[1:-1, 1:-2] = values.T
        return wide[1:-1, 1:-2].T
    if order == "part":
        wide = np.full((shape[0] + 2, shape[1] + 3), np.nan, dtype)
        wide[1:-1, 1:-2] = values
        return wide[1:-1, 1:-2]
    if order == "strided":
        wide = np.full((2 * shape[0], 3 * shape[1]), np.nan, dtype)
        wide[::2, ::3] = values
        return wide[::2, ::3]
    if order == "reversed":
        return np.ascontiguousarray(values[::-1])[::-1]
    if order == "repeated row":
        return np.broadcast_to(values[:1], shape)
    return values


ORDERS = st.sampled_from(["plain", "transposed", "transposed part", "part", "strided", "reversed", "repeated row"])


@settings(max_examples=100)
@given(
    rows=st.integers(1, 200),
    depth=st.integers(1, 1100),
    columns=st.integers(1, 150),
    orders=st.tuples(ORDERS, ORDERS),
    dtype=st.sampled_from(["float32", "float64"]),
    number_of_threads=st.sampled_from([1, 2]),
)
def test_products_of_matrices(
    rows: int, depth: int, columns: int, orders: tuple[str, str], dtype: str, number_of_threads: int
) -> None:
    rng = np.random.default_rng(rows + depth)
    a = draw_matrix(rng, (rows, depth), dtype, orders[0])
    b = draw_matrix(rng, (depth, columns), dtype, orders[1])
    with pytest.MonkeyPatch.context() as patch, guarded(CPU):
        patch.setattr(threads, "_number", number_of_threads)
        patch.setattr(launch, "_WORTH_SHARING", 1.0)
        patch.setattr("tinygrad_bn.kernels.cpu.matmul._SMALLEST", 0)
        found = FAST.matmul(a, b)
    expected = a.astype("float64") @ b.astype("float64")
    # A repeated row makes all rows of a product alike; where it cancels, the norm does too.
    usual_norm = np.sqrt(float(rows) * columns * depth)
    error = np.linalg.norm(found - expected) / max(float(np.linalg.norm(expected)), usual_norm)
    assert found.shape == expected.shape
    assert found.dtype == dtype
    assert error <= TOLERANCE[dtype]


@settings(max_examples=100)
@given(
    depth=LENGTH,
    columns=LENGTH,
    order=ORDERS,
    dtype=st.sampled_from(["float32", "float64"]),
    number_of_threads=st.sampled_from([1, 2]),
)
def test_panels(depth: int, columns: int, order: str, dtype: str, number_of_threads: int) -> None:
    matrix = draw_matrix(np.random.default_rng(depth), (depth, columns), dtype, order)
    before = matrix.copy()
    width = 2 * VECTOR_BYTES // matrix.itemsize
    with pytest.MonkeyPatch.context() as patch, guarded(CPU):
        patch.setattr(threads, "_number", number_of_threads)
        patch.setattr(launch, "_WORTH_SHARING", 1.0)
        panels = packed(CPU, matrix)
    number = -(-columns // width)
    expected = np.zeros((depth, number * width), dtype)
    expected[:, :columns] = matrix
    np.testing.assert_array_equal(panels, expected.reshape(depth, number, width).swapaxes(0, 1))
    np.testing.assert_array_equal(matrix, before)


@pytest.mark.parametrize("order", ["plain", "transposed"])
def test_nan_and_infinity_pass_through_panels(order: str) -> None:
    matrix = draw_matrix(np.random.default_rng(0), (20, 50), "float32", order)
    matrix[3, 4], matrix[7, 49] = np.nan, np.inf
    panels = packed(CPU, matrix)
    unpacked = panels.swapaxes(0, 1).reshape(20, -1)
    np.testing.assert_array_equal(unpacked[:, :50], matrix)
    assert not unpacked[:, 50:].any()
