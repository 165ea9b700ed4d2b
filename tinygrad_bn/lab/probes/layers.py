"""The statistics of one place of one layer, and what follows from them for the layer and for its channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .streaming import doubled

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class LayerProbe:
    """Statistics of one place of one layer, over the test set; arrays of one entry per channel.

    Values that are not finite are counted and left out of everything else. What has no value, such as the saturation
    of zeros, is nan.

    Attributes:
        name: the block's name in the model.
        edges: bin edges of the histogram, shared by the channels.
        counts: histogram, shape (channels, bins).
        count: number of finite values; not_finite: number of others.
        mean, variance (biased), skewness (adjusted; nan for a constant channel): moments.
        minimum, maximum: the range of the values; infinities the wrong way round without values.
        absolute_sum, absolute_max: of the magnitudes.
        zeros: number of values that are exactly 0.
        gini: Gini coefficient of each channel's magnitudes, shape (3, channels): a lower bound, the estimate, an upper
            bound (see `gini.StreamingGini`).
        layer_gini: the same for the layer's values together, shape (3,).
    """

    name: str
    edges: Array
    counts: Array
    count: Array
    mean: Array
    variance: Array
    skewness: Array
    minimum: Array
    maximum: Array
    absolute_sum: Array
    absolute_max: Array
    zeros: Array
    not_finite: Array
    gini: Array
    layer_gini: Array

    @property
    def saturation(self) -> float:
        """mean|g| / max|g| over the layer; nan when every value is 0."""
        largest = self.absolute_max.max(initial=0.0)
        return float(self.absolute_sum.sum() / self.count.sum() / largest) if largest > 0.0 else math.nan

    @property
    def channel_saturation(self) -> Array:
        """mean|g| of each channel over max|g| of the layer: their mean is the layer's saturation."""
        return _ratio(self.absolute_sum, self.count * self.absolute_max.max(initial=0.0))

    @property
    def own_saturation(self) -> Array:
        """mean|g| / max|g| of each channel by itself; nan for a channel of zeros."""
        return _ratio(self.absolute_sum, self.count * self.absolute_max)

    @property
    def sparsity(self) -> float:
        """1 - mean|h| / max|h| over the layer; nan when every value is 0."""
        return 1.0 - self.saturation

    @property
    def channel_sparsity(self) -> Array:
        """1 - mean|h| of each channel over max|h| of the layer."""
        return 1.0 - self.channel_saturation

    @property
    def mean_absolute_skewness(self) -> float:
        """Asymmetric saturation: mean of |skewness| over the channels that have one; nan when none has."""
        magnitudes = np.abs(self.skewness[~np.isnan(self.skewness)])
        return float(magnitudes.mean()) if magnitudes.size else math.nan

    @property
    def zero_fraction(self) -> float:
        """Share of values that are exactly 0."""
        total = self.count.sum()
        return float(self.zeros.sum() / total) if total else math.nan

    @property
    def channel_zero_fraction(self) -> Array:
        """Share of each channel's values that are exactly 0."""
        return _ratio(self.zeros, self.count)

    @property
    def dead(self) -> Array:
        """Which channels are exactly 0 everywhere, for every image."""
        return np.asarray((self.count > 0) & (self.not_finite == 0) & (self.zeros == self.count))

    @property
    def dead_channels(self) -> int:
        """Number of channels that are exactly 0 everywhere, for every image."""
        return int(self.dead.sum())

    @property
    def constant(self) -> Array:
        """Which channels never change over the test set; dead ones among them."""
        return np.asarray((self.not_finite == 0) & (self.minimum == self.maximum))

    @property
    def constant_channels(self) -> int:
        """Number of channels whose output never changes over the test set."""
        return int(self.constant.sum())

    @property
    def layer_mean(self) -> float:
        """Mean of all values of the layer."""
        total = self.count.sum()
        seen = self.count > 0
        return float(np.sum(self.count[seen] * self.mean[seen]) / total) if total else math.nan

    @property
    def layer_variance(self) -> float:
        """Biased variance of all values of the layer: within its channels, and between their means."""
        total = self.count.sum()
        seen = self.count > 0
        squares = self.variance[seen] + (self.mean[seen] - self.layer_mean) ** 2
        return float(np.sum(self.count[seen] * squares) / total) if total else math.nan


def on_one_range(probes: Sequence[LayerProbe]) -> list[LayerProbe]:
    """The same probes with their histograms over the widest range among them, so that bins can be compared.

    Growing ranges are powers of two, so this merges whole bins and is exact; equal ranges stay as they are.
    """
    widest = max(probe.edges[-1] for probe in probes)
    return [_widened(probe, widest) for probe in probes]


def _widened(probe: LayerProbe, limit: float) -> LayerProbe:
    while probe.edges[-1] < limit:
        probe = replace(probe, edges=2.0 * probe.edges, counts=doubled(probe.counts))
    return probe


def _ratio(numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, nan where that is 0 / 0."""
    ratios = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratios, where=denominator > 0)
    return ratios
