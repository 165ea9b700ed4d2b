"""What the values of each channel look like: range, moments, a histogram, and magnitudes in logarithmic bins.

For those who watch a network, not for computing with it. Everything is of the finite values alone, and in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

MANTISSA = 23
BINS_PER_POWER = 32
SHIFT = 18
"""A float32 magnitude's bin is its bits without the last 18: 32 bins for each power of two."""

UNITS = (1 << SHIFT) - 1
_INFINITY = np.uint32(0x7F80_0000)  # the bits
LARGEST = float(np.finfo(np.float32).max)

_BLOCK = 1 << 15  # values worked on at a time: their float64 copies stay in the processor's cache
_CHANNELS = 64  # whose bins do


class Extremes(NamedTuple):
    """The range of each channel's finite values, all (C,).

    Attributes:
        minimum, maximum: of the values, float64; infinities the wrong way round without values.
        smallest, largest: of the magnitudes as float32 numbers, zeros left out; infinity and 0 without any.
    """

    minimum: Any
    maximum: Any
    smallest: Any
    largest: Any


class Moments(NamedTuple):
    """Count (int64), mean, second and third central sums (float64) of each channel's finite values, all (C,)."""

    count: Any
    mean: Any
    second: Any
    third: Any

    @staticmethod
    def none(channels: int) -> Moments:
        """Return the moments of no values."""
        return Moments(np.zeros(channels, np.int64), np.zeros(channels), np.zeros(channels), np.zeros(channels))

    def joined(self, other: Moments) -> Moments:
        """Return the moments of both sets of values together (Pébay 2008, SAND2008-6212, equations 2.1 and 2.2)."""
        a, b = self.count.astype("float64"), other.count.astype("float64")
        total = a + b
        total += total == 0.0
        delta = other.mean - self.mean
        with np.errstate(over="ignore", invalid="ignore"):
            second = delta**2 * a * b / total
            third = delta**3 * a * b * (a - b) / total**2
            third += 3.0 * delta * (a * other.second - b * self.second) / total
            return Moments(
                self.count + other.count,
                self.mean + delta * (b / total),
                self.second + other.second + second,
                self.third + other.third + third,
            )


class MagnitudeBins(NamedTuple):
    """Magnitudes as float32 numbers, in bins; all (C, 1 + bins), the first column that of zeros.

    A number is its bin's lower end and so many units in its last place.

    Attributes:
        counts: how many numbers, int64.
        units, squared_units: sums of integers, in float64.
    """

    counts: Any
    units: Any
    squared_units: Any


class Survey(NamedTuple):
    """What `SurveyKernels.survey` finds; integers are int64, the others float64.

    Attributes:
        moments: of the finite values.
        not_finite: number of the others, (C,).
        zeros: number of values that are exactly 0, (C,).
        absolute_sum: of the magnitudes, (C,).
        histogram: counts (C, B), or None.
        magnitudes: `MagnitudeBins`, or None.
    """

    moments: Moments
    not_finite: Any
    zeros: Any
    absolute_sum: Any
    histogram: Any
    magnitudes: Any


class SurveyKernels:
    """Surveys of x, (N, C) or (N, C, H, W), channel by channel, block by block."""

    xp: Any

    def extremes(self, x: Any) -> Extremes:
        """Return the range of each channel."""
        xp, channels = self.xp, x.shape[1]
        result = Extremes(
            xp.full(channels, np.inf),
            xp.full(channels, -np.inf),
            xp.full(channels, np.inf, dtype="float32"),
            xp.zeros(channels, dtype="float32"),
        )
        for group, block in self._blocks(x):
            finite = xp.isfinite(block)
            lows, highs = self._filled_in(block, finite, np.inf), self._filled_in(block, finite, -np.inf)
            magnitudes = self._float32_magnitudes(self._filled_in(block, finite, 0.0))
            result.minimum[group] = xp.minimum(result.minimum[group], lows.min(axis=1))
            result.maximum[group] = xp.maximum(result.maximum[group], highs.max(axis=1))
            # One less, as whole numbers, so that zeros become the largest of all.
            smallest = (magnitudes.view("uint32") - np.uint32(1)).min(axis=1)
            smallest = xp.minimum(smallest, _INFINITY - np.uint32(1)) + np.uint32(1)
            result.smallest[group] = xp.minimum(result.smallest[group], smallest.view("float32"))
            result.largest[group] = xp.maximum(result.largest[group], magnitudes.max(axis=1))
        return result

    def survey(self, x: Any, edges: Any | None, bins: tuple[int, int] | None) -> Survey:
        """Return everything about each channel that one pass can tell.

        Args:
            x: values; those that are not finite are counted and left out of everything else.
            edges: of a histogram's equal bins, float64 (B + 1,), on the host; a value on an edge belongs to the bin
                above, but for the last edge, and what lies outside belongs to the end bins. None: no histogram.
            bins: the numbers (first, last) of the bins of magnitudes, first <= number < last, in which all values lie
                that are not zero as float32 numbers. A float64 value is rounded to one, and one beyond float32's range
                becomes its largest. None: no magnitudes.
        """
        xp, channels = self.xp, x.shape[1]
        count, zeros = xp.zeros(channels, dtype="int64"), xp.zeros(channels, dtype="int64")
        mean, second, third, absolute_sum = (xp.zeros(channels) for _ in range(4))
        histogram = None if edges is None else xp.zeros((channels, len(edges) - 1), dtype="int64")
        magnitudes = None
        if bins is not None:
            shape = (channels, 1 + bins[1] - bins[0])
            magnitudes = MagnitudeBins(xp.zeros(shape, dtype="int64"), xp.zeros(shape), xp.zeros(shape))
        for group, block in self._blocks(x):
            finite = xp.isfinite(block)
            values = self._filled_in(block, finite, 0.0)
            here = Moments(count[group], mean[group], second[group], third[group]).joined(self._moments(values, finite))
            count[group], mean[group], second[group], third[group] = here
            with np.errstate(over="ignore"):
                absolute_sum[group] += xp.abs(values).sum(axis=1)
            zeros[group] += xp.count_nonzero(finite & (values == 0.0), axis=1)
            if histogram is not None:
                slots = self._histogram_slots(values, xp.asarray(edges))
                histogram[group] += self._in_slots(slots, finite, histogram.shape[1])
            if magnitudes is not None and bins is not None:
                bits = self._float32_magnitudes(values).view("uint32")
                slots = xp.where(bits > 0, (bits >> SHIFT).astype("int64") - (bins[0] - 1), 0)
                units = (bits & UNITS).astype("float64")
                for part, weights in zip(magnitudes, (None, units, units * units), strict=True):
                    part[group] += self._in_slots(slots, finite, part.shape[1], weights)
        not_finite = x.size // channels - count if channels else count
        return Survey(Moments(count, mean, second, third), not_finite, zeros, absolute_sum, histogram, magnitudes)

    def _blocks(self, x: Any) -> Iterator[tuple[slice, Any]]:
        """Cut x into float64 blocks (channels, values), and say of which channels."""
        channels = x.shape[1]
        rows = self.xp.moveaxis(x, 1, -1).reshape(x.size // channels, channels) if x.size else x[:0]
        for first in range(0, channels, _CHANNELS):
            group = slice(first, min(first + _CHANNELS, channels))
            size = _BLOCK // (group.stop - group.start)
            for start in range(0, len(rows), size):
                yield group, self.xp.ascontiguousarray(rows[start : start + size, group].T, dtype="float64")

    def _moments(self, values: Any, finite: Any) -> Moments:
        """Return the moments of the finite values among (channels, values), the others being 0."""
        count = self.xp.count_nonzero(finite, axis=1)
        with np.errstate(over="ignore", invalid="ignore"):  # of float64 values beyond 1e100
            mean = values.sum(axis=1) / self.xp.maximum(count, 1)
            centred = self._filled_in(values - mean[:, None], finite, 0.0)
            squared = centred * centred
            return Moments(count, mean, squared.sum(axis=1), self.xp.einsum("ij,ij->i", squared, centred))

    def _histogram_slots(self, values: Any, edges: Any) -> Any:
        """Return the bin of each value."""
        low, high, bins = edges[0], edges[-1], len(edges) - 1
        inside = self.xp.clip(values, low, high)
        slots = self.xp.minimum(((inside - low) * (bins / (high - low))).astype("int64"), bins - 1)
        # The product above may round across an edge; the edges decide, as in numpy.histogram.
        slots -= inside < edges[slots]
        slots += (inside >= edges[slots + 1]) & (slots < bins - 1)
        return slots

    def _in_slots(self, slots: Any, counted: Any, number: int, weights: Any | None = None) -> Any:
        """Count, or add up the weights, of each row's slots: (channels, values) to (channels, number)."""
        channels = len(slots)
        places = slots + self.xp.arange(0, channels * number, number)[:, None]
        chosen = ... if counted.all() else counted
        if weights is not None:
            weights = weights[chosen].ravel()
        return self.xp.bincount(places[chosen].ravel(), weights, channels * number).reshape(channels, number)

    def _filled_in(self, values: Any, finite: Any, other: float) -> Any:
        """Return the values with another one in place of those that are not finite."""
        return values if finite.all() else self.xp.where(finite, values, other)

    def _float32_magnitudes(self, values: Any) -> Any:
        return self.xp.minimum(self.xp.abs(values), LARGEST).astype("float32")
