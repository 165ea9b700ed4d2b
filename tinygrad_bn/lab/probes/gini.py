"""The Gini coefficient of magnitudes that are only ever seen in batches: one pass, constant memory, with bounds.

The Gini coefficient of n magnitudes is the mean difference of two of them over twice their mean,
`sum_ij |x_i - x_j| / (2 n sum_i x_i)`: 0 when all are equal, towards 1 when a few hold everything. Its exact value
needs the sorted values. Here they are counted and summed in bins that are given by the leading bits of the float32
number: a few bins for each power of two, as fine for small values as for large ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...kernels.reference.survey import BINS_PER_POWER, MANTISSA, SHIFT, Extremes, MagnitudeBins, Survey
from .streaming import host_kernels

Array = np.ndarray[Any, np.dtype[Any]]

_INFINITY = 0x7F80_0000


class Gini(NamedTuple):
    """A Gini coefficient, or an array of them, between two bounds; nan where there is nothing but zeros."""

    low: Array
    estimate: Array
    high: Array


class StreamingGini:
    """Gini coefficient of the magnitudes, per channel and over all channels.

    Bounds hold for the values as float32 numbers. A float64 value is rounded to one, which moves the coefficient by at
    most 1.2e-7 as long as the values lie in float32's normal range, 1.2e-38 to 3.4e38; a larger one becomes the
    largest float32, and one below 7e-46 counts as zero. Sums are those of integers, so but for rounding
    in the last place the result does not depend on the batches. Values that are not finite are left out.

    The bounds: between bins every pair's difference is known in sum. Inside a bin of c values from a to b with mean m
    and deviation s, that sum is at least `c**2 s**2 / (b - a)` (as no difference exceeds b - a). It is at most
    `c**2 (m - a) (b - m) / (b - a)` (all values at the ends), and at most `c s sqrt((c**2 - 1) / 3)` (equally spaced;
    Cauchy and Schwarz for the values and their ranks). The estimate is twice the lower bound, as for values spread
    evenly, but within the bounds. So with 32 bins for each power of two the bounds are at most 2.7e-3 apart, when all
    values lie in one bin; values that spread over many bins give closer ones (2e-5 for a normal distribution, 4e-4 for
    a saturated tanh). Only when everything is smaller than 1.2e-38 (denormal) are the bounds wide. They meet when no
    bin holds two different values, so when all are equal and when one is not zero.

    Memory grows with the powers of two that occur (20 to 30 for activations, 256 at most), not with the values: 768
    bytes per channel for each.

    >>> gini = StreamingGini(channels=2)
    >>> gini.update(np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, -7.0]]))
    >>> gini.channels.estimate.tolist()
    [0.0, 0.75]
    """

    def __init__(self, channels: int) -> None:
        self._bins = _MagnitudeBins(channels)

    def update(self, values: Array) -> None:
        """Add a batch of shape (channels, values)."""
        kernels = host_kernels()
        self.cover(kernels.extremes(values.T))
        self.add(kernels.survey(values.T, None, self.bins))

    @property
    def bins(self) -> tuple[int, int]:
        """The numbers of the bins that there is room for, first and one after the last."""
        return self._bins.first, self._bins.last

    def cover(self, extremes: Extremes) -> None:
        """Make room for the bins of a batch with these extremes."""
        self._bins.cover(_bits(extremes.smallest), _bits(extremes.largest))

    def add(self, survey: Survey) -> None:
        """Add a batch that the kernels have looked at, with these bins."""
        self._bins.add(survey.magnitudes)

    @property
    def channels(self) -> Gini:
        """Coefficients of shape (channels,)."""
        return self._bins.gini()

    @property
    def layer(self) -> Gini:
        """The coefficient of all values together, of shape (1,)."""
        return self._bins.together().gini()


class _MagnitudeBins:
    """Count and sum of the magnitudes in each bin, per row. A bin's number is the leading bits of its values.

    Zeros have a bin of their own, the first one. The others cover the powers of two that have occurred.
    """

    def __init__(self, rows: int) -> None:
        self.first = self.last = 0  # bins of the powers of two that occurred: first <= number < last
        self._counts = np.zeros((rows, 1), dtype=np.int64)
        # A value is its bin's lower end and so many units in its last place: integers, whose sum is exact.
        self._units = np.zeros((rows, 1), dtype=np.float64)
        self._squared_units = np.zeros((rows, 1), dtype=np.float64)
        self._smallest = np.full(rows, _INFINITY, dtype=np.int64)
        self._largest = np.zeros(rows, dtype=np.int64)

    def cover(self, smallest: Array, largest: Array) -> None:
        """Make room for all magnitudes from the smallest to the largest of each row, as bits of float32 numbers."""
        self._largest = np.maximum(self._largest, largest)
        self._smallest = np.minimum(self._smallest, smallest)
        if largest.any():
            self._cover(int(smallest.min()) >> SHIFT, int(largest.max()) >> SHIFT)

    def add(self, magnitudes: MagnitudeBins) -> None:
        """Add the magnitudes of all rows."""
        self._counts += magnitudes.counts
        self._units += magnitudes.units
        self._squared_units += magnitudes.squared_units

    def together(self) -> _MagnitudeBins:
        """The bins of all rows as one."""
        whole = _MagnitudeBins(1)
        whole.first, whole.last = self.first, self.last
        whole._counts = self._counts.sum(axis=0, keepdims=True)
        whole._units = self._units.sum(axis=0, keepdims=True)
        whole._squared_units = self._squared_units.sum(axis=0, keepdims=True)
        whole._smallest = self._smallest.min(keepdims=True)
        whole._largest = self._largest.max(keepdims=True)
        return whole

    def gini(self) -> Gini:
        """The coefficient of each row."""
        lower, unit, upper = self._ends()
        counts = self._counts.astype(np.float64)
        sums = counts * lower + self._units * unit
        total, whole = counts.sum(axis=1), sums.sum(axis=1)

        # Clipped to the values that are there, so that equal values lie in a bin without extent.
        lower = np.maximum(lower, _from_bits(self._smallest)[:, None])
        upper = np.minimum(upper, _from_bits(self._largest)[:, None])
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = total * whole
            between = np.sum(sums * (2.0 * np.cumsum(counts, axis=1) - counts - total[:, None]), axis=1)
            mean = np.clip(sums / counts, lower, upper)
            variance = np.maximum(self._squared_units / counts - (self._units / counts) ** 2, 0.0) * unit**2
            at_ends = counts**2 * (mean - lower) * (upper - mean) / (upper - lower)
            at_most = np.minimum(at_ends, counts * np.sqrt(variance * (counts**2 - 1.0) / 3.0))
            at_least = np.minimum(counts**2 * variance / (upper - lower), at_most)
            within = np.stack([at_least, np.minimum(2.0 * at_least, at_most), at_most])
            within[:, (counts < 2) | ~(upper > lower)] = 0.0
            low, estimate, high = (between + within.sum(axis=2)) / scale
        return Gini(*(np.clip(result, 0.0, 1.0) for result in (low, estimate, high)))

    def _cover(self, lowest: int, highest: int) -> None:
        """Make room for all bins of the powers of two of these two bins, and of those between."""
        first = lowest // BINS_PER_POWER * BINS_PER_POWER
        last = (highest // BINS_PER_POWER + 1) * BINS_PER_POWER
        if self.first == self.last:
            self.first = self.last = first
        before, after = max(0, self.first - first), max(0, last - self.last)
        if before or after:
            self._counts = _widened(self._counts, before, after)
            self._units = _widened(self._units, before, after)
            self._squared_units = _widened(self._squared_units, before, after)
            self.first -= before
            self.last += after

    def _ends(self) -> tuple[Array, Array, Array]:
        """Lower end of each bin, the unit of its values' last place, and upper end; zeros come first."""
        numbers = np.arange(self.first, self.last + 1, dtype=np.int64)
        ends = _from_bits(numbers << SHIFT)
        exponents = np.maximum(numbers[:-1] // BINS_PER_POWER, 1)
        units = np.ldexp(1.0, exponents - 127 - MANTISSA)
        return (
            np.concatenate([[0.0], ends[:-1]]),
            np.concatenate([[0.0], units]),
            np.concatenate([[0.0], ends[1:]]),
        )


def _bits(magnitudes: Array) -> Array:
    """The bits of float32 numbers, as int64."""
    return magnitudes.view(np.uint32).astype(np.int64)


def _from_bits(bits: Array) -> Array:
    """The float32 numbers of these bits, as float64; after the largest one comes the next power of two."""
    exponents = np.asarray(bits >> MANTISSA)
    mantissas = bits & ((1 << MANTISSA) - 1)
    significands = mantissas + (np.minimum(exponents, 1) << MANTISSA)
    result: Array = np.ldexp(significands.astype(np.float64), np.maximum(exponents, 1) - 127 - MANTISSA)
    return result


def _widened(bins: Array, before: int, after: int) -> Array:
    """The same bins, with empty ones before and after all but the first, which is that of zeros."""
    rows = len(bins)
    empty = np.zeros((rows, before + after), dtype=bins.dtype)
    return np.concatenate([bins[:, :1], empty[:, :before], bins[:, 1:], empty[:, before:]], axis=1)
