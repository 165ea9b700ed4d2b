"""Every call gives the same result for the same values in any memory: strided, reversed, read-only, not aligned."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CONVOLUTIONS, EVERYTHING, NORM_ACTS, NORMALIZATIONS, POOLS, Case
from compare import assert_close, cast, layouts, leaves

import tinygrad_bn as tg


def _results(case: Case, arrays: list[np.ndarray]) -> list[np.ndarray]:
    inputs = leaves(arrays)
    output = case.ours(*inputs)
    start = np.asarray(np.random.default_rng(1).standard_normal(output.shape)).astype(output.dtype)
    output.backward(start)
    return [output.numpy(), *(x.grad.numpy() for x in inputs if x.grad is not None)]


@pytest.mark.parametrize("case", [c for c in EVERYTHING if c.draw()[0].dtype.kind == "f"], ids=repr)
def test_memory_of_the_inputs_does_not_matter(case: Case) -> None:
    arrays = cast(case.draw(), "float64")
    expected = _results(case, arrays)
    for number, array in enumerate(arrays):
        for layout, moved in layouts(array):
            before = moved.copy()
            found = _results(case, [moved if i == number else a for i, a in enumerate(arrays)])
            for a, b in zip(found, expected, strict=True):
                assert_close(a, b, f"input {number}: {layout}")
            np.testing.assert_array_equal(moved, before, err_msg="an input was changed")


@pytest.mark.parametrize("case", [c for c in EVERYTHING if c.draw()[0].dtype.kind == "f"], ids=repr)
def test_inputs_that_repeat_one_value_in_memory(case: Case) -> None:
    """Broadcast inputs have strides of 0: nothing may write into them, or count their memory."""
    arrays = cast(case.draw(), "float64")
    for number, array in enumerate(arrays):
        if array.ndim and array.size:
            repeated = np.broadcast_to(array[:1], array.shape)
            packed = [np.array(repeated) if i == number else a for i, a in enumerate(arrays)]
            found = _results(case, [repeated if i == number else a for i, a in enumerate(arrays)])
            for a, b in zip(found, _results(case, packed), strict=True):
                assert_close(a, b, f"input {number}: broadcast")


@pytest.mark.parametrize("case", [*CONVOLUTIONS, *POOLS, *NORMALIZATIONS, *NORM_ACTS], ids=repr)
def test_memory_of_the_gradient_does_not_matter(case: Case) -> None:
    inputs = leaves(cast(case.draw(), "float64"))
    output = case.ours(*inputs)
    start = np.asarray(np.random.default_rng(1).standard_normal(output.shape))
    device = tg.get_default_device()
    expected = tg.grad(output, inputs, tg.from_numpy(start).to(device), retain_graph=True)
    for layout, moved in layouts(start):
        found = tg.grad(output, inputs, tg.from_numpy(moved).to(device), retain_graph=True)
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, layout)


@pytest.mark.parametrize("channels_last", [False, True])
def test_elementwise_operations_keep_the_memory_order(channels_last: bool) -> None:
    values = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype("float32")
    if channels_last:
        values = np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    x = tg.from_numpy(values)
    for result in (x + x, x * 2.0, tg.functional.relu(x), tg.functional.tanh(x), x.exp(), x.copy()):
        assert result.data.strides == values.strides


def test_convolution_pooling_and_norm_are_channels_last_in_memory() -> None:
    x = tg.randn(2, 3, 8, 8)
    y = tg.functional.conv2d(x, tg.randn(4, 3, 3, 3), padding=1)
    for result in (
        y,
        tg.functional.batch_norm(y, None, None, training=True),
        tg.functional.norm_act(y, None, None, training=True),
        tg.functional.norm_act(y, None, None, training=True, order="swap", activation="tanh"),
        tg.functional.max_pool2d(y, 2),
        tg.functional.max_pool2d(y, 3, padding=1),
    ):
        assert result.data.transpose(0, 2, 3, 1).flags.c_contiguous
