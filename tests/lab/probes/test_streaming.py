"""Streaming statistics against the same statistics of the whole array (NumPy, SciPy)."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_bn.errors import ArgumentError
from tinygrad_bn.lab.probes.streaming import FixedHistogram, GrowingHistogram, StreamingMoments

stats = pytest.importorskip("scipy.stats")

CHANNELS = 5


def make_values(kind: str) -> np.ndarray:
    generator = np.random.default_rng(3)
    normal = generator.normal(size=(CHANNELS, 4001))
    match kind:
        case "normal":
            return normal
        case "skewed":
            return np.exp(normal)
        case "relu":
            return np.maximum(normal, 0.0)
        case "huge means":
            return normal + np.array([0.0, 1e3, -1e5, 1e6, 1e7])[:, None]
        case "saturated":
            return np.tanh(normal * 20.0)
        case "drifting":
            return normal + np.linspace(-50.0, 50.0, 4001)
    raise AssertionError(kind)


def batches(values: np.ndarray) -> list[np.ndarray]:
    """Unequal batches, one of a single value, one empty."""
    return np.split(values, [1, 1, 700, 701, 2500, 3999], axis=1)


KINDS = ["normal", "skewed", "relu", "huge means", "saturated", "drifting"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_moments_equal_the_whole_arrays(kind: str, dtype: type) -> None:
    values = make_values(kind).astype(dtype)
    moments = StreamingMoments(CHANNELS)
    for batch in batches(values):
        moments.update(batch)
    whole = values.astype(np.float64)
    assert (moments.count == whole.shape[1]).all()
    np.testing.assert_allclose(moments.mean, whole.mean(axis=1), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(moments.variance, whole.var(axis=1), rtol=1e-9)
    expected = stats.skew(whole, axis=1, bias=False)
    np.testing.assert_allclose(moments.skewness, expected, rtol=1e-8, atol=1e-9)
    magnitude = np.abs(whole)
    np.testing.assert_allclose(moments.absolute_sum, magnitude.sum(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(moments.absolute_max, magnitude.max(axis=1))
    np.testing.assert_array_equal(moments.minimum, whole.min(axis=1))
    np.testing.assert_array_equal(moments.maximum, whole.max(axis=1))
    np.testing.assert_array_equal(moments.zeros, np.sum(whole == 0.0, axis=1))


NORMAL = np.random.default_rng(8).normal(size=3001)

#: One channel each, and how closely the skewness of SciPy is met.
ADVERSARIAL = {
    "mean 1e8, deviation 1": (1e8 + NORMAL, 1e-6),
    "mean -1e8, skewed": (np.exp(NORMAL) - 1e8, 1e-6),
    "two values": (np.where(NORMAL > 1.5, 7.0, -3.0), 1e-10),
    "two close values": (np.where(NORMAL > 1.5, 1.0, 1.0 + 1e-6), 1e-6),
    "scale 1e-30": (1e-30 * np.exp(NORMAL), 1e-10),
    "scale 1e30": (1e30 * np.exp(NORMAL), 1e-10),
    "one outlier": (np.append(NORMAL, 1e12), 1e-10),
    "an outlier first": (np.append(1e12, NORMAL), 1e-10),
    "sorted": (np.sort(np.exp(NORMAL)), 1e-10),
    "one value apart": (np.append(np.zeros(3000), 1.0), 1e-10),
}


@pytest.mark.parametrize("size", [1, 2, 977, 5000])
@pytest.mark.parametrize("case", ADVERSARIAL)
def test_moments_of_adversarial_values_equal_scipys(case: str, size: int) -> None:
    values, tolerance = ADVERSARIAL[case]
    moments = StreamingMoments(1)
    for start in range(0, values.size, size):
        moments.update(values[None, start : start + size])
    assert moments.mean[0] == pytest.approx(values.mean(), rel=1e-12, abs=1e-14)
    # The mean of values about 1e8 is rounded at 1e-8, whatever the method.
    assert moments.variance[0] == pytest.approx(values.var(), rel=tolerance)
    assert moments.skewness[0] == pytest.approx(float(stats.skew(values, bias=False)), rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8, -1e-30])
@pytest.mark.parametrize("size", [1, 977, 5000])
def test_a_constant_channel_has_no_skewness_in_batches_of_any_size(value: float, size: int) -> None:
    values = np.full((1, 3001), value)
    moments = StreamingMoments(1)
    for start in range(0, values.size, size):
        moments.update(values[:, start : start + size])
    assert np.isnan(moments.skewness[0])
    assert moments.variance[0] <= (1e-15 * value) ** 2
    assert moments.minimum[0] == moments.maximum[0] == value


def test_constant_channels_have_no_skewness_as_in_scipy() -> None:
    values = np.full((3, 1000), 0.1)
    values[1] = 0.0
    values[2, 0] = 0.2
    moments = StreamingMoments(3)
    for batch in batches(np.repeat(values, 5, axis=1)):
        moments.update(batch)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
        expected = stats.skew(np.repeat(values, 5, axis=1), axis=1, bias=False)
    np.testing.assert_allclose(moments.skewness, expected, rtol=1e-8)
    assert np.isnan(moments.skewness[:2]).all()


def test_fewer_than_three_values_have_no_skewness() -> None:
    moments = StreamingMoments(1)
    moments.update(np.array([[1.0, 2.0]]))
    assert np.isnan(moments.skewness).all()


def test_values_that_are_not_finite_are_counted_and_left_out() -> None:
    values = make_values("normal")
    spoiled = values.copy()
    spoiled[0, :10] = np.nan
    spoiled[2, 5] = np.inf
    moments, clean = StreamingMoments(CHANNELS), StreamingMoments(CHANNELS)
    for batch in batches(spoiled):
        moments.update(batch)
    clean.update(values[:, 10:])
    assert moments.not_finite.tolist() == [10, 0, 1, 0, 0]
    assert moments.mean[0] == pytest.approx(clean.mean[0])
    assert moments.skewness[0] == pytest.approx(clean.skewness[0])
    histogram = GrowingHistogram(CHANNELS, 16)
    histogram.update(spoiled)
    assert histogram.counts.sum(axis=1).tolist() == [3991, 4001, 4000, 4001, 4001]


@pytest.mark.parametrize("low_high", [(-1.0, 1.0), (-1.7159, 1.7159), (0.0, 6.0), (-0.25, 1.0)])
def test_fixed_histogram_is_numpys(low_high: tuple[float, float]) -> None:
    low, high = low_high
    generator = np.random.default_rng(0)
    edges = np.linspace(low, high, 49)
    # Values exactly on edges, and their neighbours, are where rounding would show.
    values = np.concatenate([generator.uniform(low, high, 3000), edges, np.nextafter(edges, low), [low, high]])
    histogram = FixedHistogram(1, 48, low, high)
    for batch in np.split(values[None], [10, 900, 3010], axis=1):
        histogram.update(batch)
    inside = np.clip(values, low, high)
    np.testing.assert_array_equal(histogram.counts[0], np.histogram(inside, bins=48, range=(low, high))[0])


@pytest.mark.parametrize("kind", KINDS)
def test_growing_histogram_is_numpys_over_its_final_range_whatever_the_batches(kind: str) -> None:
    values = make_values(kind)
    histogram, at_once = GrowingHistogram(CHANNELS, 64), GrowingHistogram(CHANNELS, 64)
    for batch in batches(values):
        histogram.update(batch)
    at_once.update(values)
    np.testing.assert_array_equal(histogram.edges, at_once.edges)
    np.testing.assert_array_equal(histogram.counts, at_once.counts)
    limit = histogram.edges[-1]
    assert limit / 2 <= np.abs(values).max() < limit
    for channel in range(CHANNELS):
        expected = np.histogram(values[channel], bins=histogram.edges)[0]
        np.testing.assert_array_equal(histogram.counts[channel], expected)


def test_all_zero_values_stay_in_one_bin() -> None:
    histogram = GrowingHistogram(1, 8)
    histogram.update(np.zeros((1, 100)))
    assert histogram.counts.tolist() == [[0, 0, 0, 0, 100, 0, 0, 0]]


def test_bins_that_cannot_merge() -> None:
    with pytest.raises(ArgumentError, match=r"in GrowingHistogram: expected bins to be a multiple of 4.*, got 6"):
        GrowingHistogram(channels=1, bins=6)
