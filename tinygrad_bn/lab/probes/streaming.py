"""Statistics of an array that is only ever seen in batches: one pass, constant memory, exact.

Every accumulator takes values of shape (channels, values) and keeps a handful of numbers per channel.
Moments are merged in float64 with the pairwise update of Pébay 2008 ("Formulas for Robust, One-Pass Parallel
Computation of Covariances and Arbitrary-Order Statistical Moments", SAND2008-6212), which does not cancel for
large means as sums of powers do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...errors import ArgumentError, explain

Array = np.ndarray[Any, np.dtype[Any]]


#: Values worked on at a time: their float64 copies stay in the processor's cache, which is several times faster.
BLOCK = 1 << 15


def _blocks(values: Array) -> Iterator[tuple[slice, Array]]:
    """Cut (channels, values) into float64 blocks of whole channels, or of parts of one channel."""
    channels, count = values.shape
    rows = max(1, BLOCK // max(1, count))
    for first in range(0, channels, rows):
        for start in range(0, count, BLOCK):
            part = values[first : first + rows, start : start + BLOCK]
            yield slice(first, first + len(part)), part.astype(np.float64)


class StreamingMoments:
    """Count, mean, second and third central sums, range, largest magnitude and zeros, per channel.

    Values that are not finite are counted apart and kept out of everything else.
    """

    def __init__(self, channels: int) -> None:
        self.count = np.zeros(channels, dtype=np.int64)
        self.mean = np.zeros(channels, dtype=np.float64)
        self.second = np.zeros(channels, dtype=np.float64)
        self.third = np.zeros(channels, dtype=np.float64)
        self.absolute_sum = np.zeros(channels, dtype=np.float64)
        self.minimum = np.full(channels, np.inf)
        self.maximum = np.full(channels, -np.inf)
        self.zeros = np.zeros(channels, dtype=np.int64)
        self.not_finite = np.zeros(channels, dtype=np.int64)

    def update(self, values: Array) -> None:
        """Add a batch of shape (channels, values)."""
        for channels, block in _blocks(values):
            finite = np.isfinite(block)
            if finite.all():
                self._merge(channels, block)
                continue
            for row, channel in enumerate(range(channels.start, channels.start + len(block))):
                self.not_finite[channel] += block.shape[1] - np.count_nonzero(finite[row])
                self._merge(slice(channel, channel + 1), block[row, finite[row]][None])

    def _merge(self, channels: slice, values: Array) -> None:
        added = values.shape[1]
        if added == 0:
            return
        self.absolute_sum[channels] += np.abs(values).sum(axis=1)
        self.minimum[channels] = np.minimum(self.minimum[channels], values.min(axis=1))
        self.maximum[channels] = np.maximum(self.maximum[channels], values.max(axis=1))
        self.zeros[channels] += added - np.count_nonzero(values, axis=1)

        mean = values.mean(axis=1)
        centred = values - mean[:, None]
        squared = centred * centred
        second = squared.sum(axis=1)
        third = np.einsum("ij,ij->i", squared, centred)

        before = self.count[channels].astype(np.float64)
        total = before + added
        delta = mean - self.mean[channels]
        # Pébay 2008, equations 2.1 and 2.2, for the union of the values so far and the batch.
        self.third[channels] += (
            third
            + delta**3 * before * added * (before - added) / total**2
            + 3.0 * delta * (before * second - added * self.second[channels]) / total
        )
        self.second[channels] += second + delta**2 * before * added / total
        self.mean[channels] += delta * added / total
        self.count[channels] += added

    @property
    def absolute_max(self) -> Array:
        """Largest magnitude per channel; 0 without values."""
        return np.where(self.count > 0, np.maximum(np.abs(self.minimum), np.abs(self.maximum)), 0.0)

    @property
    def variance(self) -> Array:
        """Biased variance per channel; nan without values."""
        with np.errstate(invalid="ignore"):
            return self.second / self.count

    @property
    def skewness(self) -> Array:
        """Adjusted Fisher-Pearson skewness per channel, as `scipy.stats.skew(bias=False)`.

        `sqrt(M (M - 1)) / (M - 2) * m3 / m2**1.5` with M values; nan for a channel that is constant (to the
        precision of its mean) or has fewer than three values, where skewness has no meaning.
        """
        count = self.count.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            second, third = self.second / count, self.third / count
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
        low, high = self.edges[0], self.edges[-1]
        bins = self.counts.shape[1]
        for channels, block in _blocks(values):
            finite = np.isfinite(block)
            block = np.clip(np.where(finite, block, low), low, high)
            index = ((block - low) * (bins / (high - low))).astype(np.int64)
            np.clip(index, 0, bins - 1, out=index)
            # The product above may round across an edge; the edges decide, as in numpy.histogram.
            index -= block < self.edges[index]
            index += (block >= self.edges[index + 1]) & (index < bins - 1)
            index += np.arange(len(block))[:, None] * bins
            counts = np.bincount(index[finite], minlength=len(block) * bins)
            self.counts[channels] += counts.reshape(len(block), bins)


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
        largest = float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))
        while largest >= self.edges[-1]:
            self._double()
        self._histogram.update(values)

    def _double(self) -> None:
        before = self._histogram
        channels, bins = before.counts.shape
        self._histogram = FixedHistogram(channels, bins, 2.0 * before.edges[0], 2.0 * before.edges[-1])
        self._histogram.counts[:] = doubled(before.counts)


def doubled(counts: Array) -> Array:
    """The same counts over twice the range about 0, in as many bins: neighbours merge and move to the middle.

    >>> doubled(np.array([[1, 2, 3, 4]])).tolist()
    [[0, 3, 7, 0]]
    """
    channels, bins = counts.shape
    wider = np.zeros_like(counts)
    wider[:, bins // 4 : bins // 4 + bins // 2] = counts.reshape(channels, bins // 2, 2).sum(axis=2)
    return wider
