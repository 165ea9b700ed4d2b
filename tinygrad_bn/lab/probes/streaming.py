"""Statistics of an array that is only ever seen in batches: one pass, constant memory, exact.

Every accumulator takes values of shape (channels, values) and keeps a handful of numbers per channel. A batch is looked
at by the kernels `extremes` and `survey`; several accumulators can share what these find.
Moments are merged in float64 with the pairwise update of Pébay 2008 ("Formulas for Robust, One-Pass Parallel
Computation of Covariances and Arbitrary-Order Statistical Moments", SAND2008-6212), which does not cancel for
large means as sums of powers do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import get_device
from ...errors import ArgumentError, explain
from ...kernels import Kernels, kernels_of
from ...kernels.reference.survey import Extremes, Moments, Survey

Array = np.ndarray[Any, np.dtype[Any]]


def host_kernels() -> Kernels:
    """The kernels for arrays in the host's memory, where statistics are kept."""
    return kernels_of(get_device("cpu"))


class StreamingMoments:
    """Count, mean, second and third central sums, range, largest magnitude and zeros, per channel.

    Values that are not finite are counted apart and kept out of everything else.
    """

    def __init__(self, channels: int) -> None:
        self._moments = Moments.none(channels)
        self.absolute_sum = np.zeros(channels, dtype=np.float64)
        self.minimum = np.full(channels, np.inf)
        self.maximum = np.full(channels, -np.inf)
        self.zeros = np.zeros(channels, dtype=np.int64)
        self.not_finite = np.zeros(channels, dtype=np.int64)

    def update(self, values: Array) -> None:
        """Add a batch of shape (channels, values)."""
        kernels = host_kernels()
        self.add(kernels.extremes(values.T), kernels.survey(values.T, None, None))

    def add(self, extremes: Extremes, survey: Survey) -> None:
        """Add a batch that the kernels have looked at."""
        self._moments = self._moments.joined(survey.moments)
        self.absolute_sum += survey.absolute_sum
        self.minimum = np.minimum(self.minimum, extremes.minimum)
        self.maximum = np.maximum(self.maximum, extremes.maximum)
        self.zeros += survey.zeros
        self.not_finite += survey.not_finite

    @property
    def count(self) -> Array:
        """Number of finite values per channel."""
        return np.asarray(self._moments.count)

    @property
    def mean(self) -> Array:
        """Mean per channel; 0 without values."""
        return np.asarray(self._moments.mean)

    @property
    def absolute_max(self) -> Array:
        """Largest magnitude per channel; 0 without values."""
        return np.where(self.count > 0, np.maximum(np.abs(self.minimum), np.abs(self.maximum)), 0.0)

    @property
    def variance(self) -> Array:
        """Biased variance per channel; nan without values."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self._moments.second / self.count)

    @property
    def skewness(self) -> Array:
        """Adjusted Fisher-Pearson skewness per channel, as `scipy.stats.skew(bias=False)`.

        `sqrt(M (M - 1)) / (M - 2) * m3 / m2**1.5` with M values; nan for a channel that is constant (to the
        precision of its mean) or has fewer than three values, where skewness has no meaning.
        """
        count = self.count.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            second, third = self._moments.second / count, self._moments.third / count
            skewness = np.sqrt(count * (count - 1.0)) / (count - 2.0) * third / second**1.5
            constant = second <= (np.finfo(np.float64).resolution * self.mean) ** 2
        return np.where(constant | (self.count < 3), np.nan, skewness)


class FixedHistogram:
    """Counts per channel in equal bins over a range known before; values outside go to the end bins."""

    def __init__(self, channels: int, bins: int, low: float, high: float) -> None:
        self.edges = np.linspace(low, high, bins + 1)
        self.counts = np.zeros((channels, bins), dtype=np.int64)

    def update(self, values: Array) -> None:
        """Add a batch of shape (channels, values); values that are not finite are left out."""
        self.add(host_kernels().survey(values.T, self.edges, None))

    def cover(self, extremes: Extremes) -> None:
        """Do nothing: the range stays as it is."""

    def add(self, survey: Survey) -> None:
        """Add a batch that the kernels have looked at, with these edges."""
        self.counts += survey.histogram


class GrowingHistogram:
    """Counts per channel in equal bins over `[-R, R)`, where R is a power of two that grows with the data.

    When a value does not fit, R doubles and neighbouring bins merge, which loses no count. So the result is the
    histogram over the smallest such range that holds everything, whatever the batches were.

    >>> histogram = GrowingHistogram(channels=1, bins=8)
    >>> histogram.update(np.array([[0.5, -0.25]]))
    >>> histogram.update(np.array([[3.0]]))
    >>> histogram.edges.tolist()
    [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    >>> histogram.counts.tolist()
    [[0, 0, 0, 1, 1, 0, 0, 1]]
    """

    SMALLEST_RANGE = 2.0**-20

    def __init__(self, channels: int, bins: int) -> None:
        if bins % 4:
            expected = "bins to be a multiple of 4, so that they can merge about 0"
            raise ArgumentError(explain("GrowingHistogram", expected, str(bins)))
        self._histogram = FixedHistogram(channels, bins, -self.SMALLEST_RANGE, self.SMALLEST_RANGE)

    @property
    def edges(self) -> Array:
        """Bin edges, of length bins + 1."""
        return self._histogram.edges

    @property
    def counts(self) -> Array:
        """Counts of shape (channels, bins)."""
        return self._histogram.counts

    def update(self, values: Array) -> None:
        """Add a batch of shape (channels, values); values that are not finite are left out."""
        self.cover(host_kernels().extremes(values.T))
        self._histogram.update(values)

    def cover(self, extremes: Extremes) -> None:
        """Widen the range until it holds a batch with these extremes."""
        low, high = extremes.minimum.min(initial=0.0), extremes.maximum.max(initial=0.0)
        while max(-low, high) >= self.edges[-1]:
            self._double()

    def add(self, survey: Survey) -> None:
        """Add a batch that the kernels have looked at, with these edges."""
        self._histogram.add(survey)

    def _double(self) -> None:
        before = self._histogram
        channels, bins = before.counts.shape
        self._histogram = FixedHistogram(channels, bins, 2.0 * before.edges[0], 2.0 * before.edges[-1])
        if before.counts.any():
            self._histogram.counts[:] = doubled(before.counts)


def doubled(counts: Array) -> Array:
    """The same counts over twice the range about 0, in as many bins: neighbours merge and move to the middle.

    >>> doubled(np.array([[1, 2, 3, 4]])).tolist()
    [[0, 3, 7, 0]]
    """
    bins = counts.shape[1]
    wider = np.zeros_like(counts)
    wider[:, bins // 4 : bins // 4 + bins // 2] = counts[:, ::2] + counts[:, 1::2]
    return wider
