"""The streaming Gini coefficient against the one of the sorted whole array."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_bn.lab.probes.gini import StreamingGini

NORMAL = np.random.default_rng(5).normal(size=(3, 6001))

#: Values of shape (channels, values), and how far the estimate of a channel and of the layer may be off.
CASES = {
    "normal": (NORMAL, 2e-5, 1e-6),
    "relu": (np.maximum(NORMAL, 0.0), 2e-5, 1e-6),
    "skewed": (np.exp(2.0 * NORMAL), 2e-5, 1e-6),
    "saturated tanh": (np.tanh(6.0 * NORMAL), 1e-3, 1e-4),
    "a floor, as of BN behind ReLU": (np.maximum(NORMAL, 0.0) / 0.58 - 0.683, 1e-3, 1e-4),
    "one huge outlier": (np.concatenate([NORMAL, np.full((3, 1), 1e30)], axis=1), 1e-6, 1e-6),
    "huge mean": (NORMAL + 1e4, 1e-4, 1e-4),
    "one power of two": (1.0 + np.random.default_rng(1).uniform(size=(3, 5000)), 1e-5, 5e-6),
    "two values of one bin": (np.where(NORMAL > 1.0, 1.0, 1.01), 1e-3, 1e-3),
    "two distant values": (np.where(NORMAL > 1.0, 1e-20, -1e15), 1e-12, 1e-12),
    "channels of several scales": (NORMAL * np.array([[1e-30], [1.0], [1e30]]), 1e-4, 1e-6),
    "integers": (np.random.default_rng(2).integers(-9, 9, size=(3, 5000)).astype(float), 1e-12, 1e-12),
    "everything float32 has": (
        np.ldexp(NORMAL, np.random.default_rng(4).integers(-149, 120, NORMAL.shape)),
        1e-5,
        1e-6,
    ),
}


def gini_of_sorted(values: np.ndarray) -> float:
    """sum_i (2 i - n - 1) x_(i) / (n sum x), exactly the definition for sorted magnitudes."""
    ordered = np.sort(np.abs(values.astype(np.float64)).ravel())
    ranks = 2.0 * np.arange(1, ordered.size + 1) - ordered.size - 1.0
    return float(np.sum(ranks * ordered) / (ordered.size * ordered.sum()))


def in_batches(values: np.ndarray) -> StreamingGini:
    gini = StreamingGini(len(values))
    for batch in np.split(values, [1, 1, 700, 701, 2500], axis=1):
        gini.update(batch)
    return gini


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_the_sorted_arrays_coefficient_lies_within_the_bounds_and_near_the_estimate(case: str, dtype: type) -> None:
    values, channel_tolerance, layer_tolerance = CASES[case]
    rounded = values.astype(np.float32)
    gini = in_batches(values.astype(dtype))
    for index, channel in enumerate(rounded):
        expected = gini_of_sorted(channel)
        low, estimate, high = (part[index] for part in gini.channels)
        assert low - 1e-12 <= expected <= high + 1e-12
        assert low <= estimate <= high <= low + 3e-3
        assert estimate == pytest.approx(expected, abs=channel_tolerance)
    expected = gini_of_sorted(rounded)
    low, estimate, high = (part[0] for part in gini.layer)
    assert low - 1e-12 <= expected <= high + 1e-12
    assert low <= estimate <= high <= low + 3e-3
    assert estimate == pytest.approx(expected, abs=layer_tolerance)


def test_denormal_values_alone_have_wide_bounds_that_hold() -> None:
    values = (NORMAL * 1e-41).astype(np.float32)
    gini = in_batches(values)
    for low, estimate, high, channel in zip(*gini.channels, values, strict=True):
        assert low <= gini_of_sorted(channel) <= high
        assert low <= estimate <= high
    among_others = in_batches(np.concatenate([values, NORMAL.astype(np.float32)], axis=1))
    assert (among_others.channels.high - among_others.channels.low < 1e-4).all()


@pytest.mark.parametrize("case", CASES)
def test_the_result_does_not_depend_on_the_batches(case: str) -> None:
    values = CASES[case][0].astype(np.float32)
    at_once = StreamingGini(len(values))
    at_once.update(values)
    one_way, other_way = in_batches(values), in_batches(values[:, ::-1])
    for streamed in (one_way, other_way):
        np.testing.assert_array_equal(streamed.channels, at_once.channels)
        np.testing.assert_array_equal(streamed.layer, at_once.layer)


@pytest.mark.parametrize("value", [0.1, -3e-44, 1e-30, 3.4e38, 1.0])
def test_equal_values_have_coefficient_0_and_bounds_that_meet(value: float) -> None:
    gini = in_batches(np.full((2, 3000), value))
    np.testing.assert_array_equal(gini.channels, np.zeros((3, 2)))
    np.testing.assert_array_equal(gini.layer, np.zeros((3, 1)))


def test_one_value_among_zeros_is_exact() -> None:
    values = np.zeros((1, 3000), dtype=np.float32)
    values[0, 1234] = 0.7
    for part in (*in_batches(values).channels, *in_batches(values).layer):
        assert part == pytest.approx(1.0 - 1.0 / 3000.0, rel=1e-12)


def test_one_value_alone() -> None:
    gini = StreamingGini(1)
    gini.update(np.array([[-2.5]]))
    assert [float(part[0]) for part in gini.channels] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("values", [np.zeros((2, 3000)), np.zeros((2, 0)), np.full((2, 3000), np.nan)])
def test_zeros_or_nothing_have_no_coefficient(values: np.ndarray) -> None:
    gini = in_batches(values)
    assert np.isnan(gini.channels).all()
    assert np.isnan(gini.layer).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_are_not_finite_are_left_out(dtype: type) -> None:
    spoiled = NORMAL.astype(dtype)
    spoiled[0, :100] = np.nan
    spoiled[1, 50] = -np.inf
    gini = in_batches(spoiled)
    clean = np.array([gini_of_sorted(row[np.isfinite(row)]) for row in spoiled.astype(np.float32)])
    np.testing.assert_allclose(gini.channels.estimate, clean, atol=2e-5)
    everything = spoiled[np.isfinite(spoiled)].astype(np.float32)
    np.testing.assert_allclose(gini.layer.estimate, gini_of_sorted(everything), atol=1e-6)


def test_float64_values_beyond_float32_count_as_its_largest() -> None:
    gini = StreamingGini(1)
    gini.update(np.array([[1e300, 1e300, 0.0, 1e-300]]))
    np.testing.assert_array_equal(np.concatenate(gini.channels), [0.5, 0.5, 0.5])


def test_memory_is_that_of_the_bins() -> None:
    gini = StreamingGini(4)
    generator = np.random.default_rng(0)
    sizes = []
    for _ in range(6):
        gini.update(generator.normal(size=(4, 20_000)).astype(np.float32))
        sizes.append(3 * gini._bins._counts.nbytes)
    assert sizes[-1] <= 4 * 768 * 40
    assert sizes[-1] <= 1.5 * sizes[0]
