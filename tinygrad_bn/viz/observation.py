"""What was measured of the tensors of a graph while it was computed: plain numbers, no arrays."""

from __future__ import annotations

from dataclasses import dataclass

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins of equal width from `low` to `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Channels:
    """Statistics of each channel; nan where a channel has none, such as the skewness of a constant one."""

    mean: Numbers
    variance: Numbers
    skewness: Numbers
    saturation: Numbers
    zeros: Numbers
    norm: Numbers


@dataclass(frozen=True)
class Facts:
    """Statistics of one tensor. Values that are not finite are counted, and left out of everything else.

    Attributes:
        mean, variance (biased), minimum, maximum: of all values.
        skewness: mean of the channels' absolute adjusted skewness, the asymmetric saturation of an activation; that of
            all values where there are no channels.
        saturation: mean|x| / max|x|.
        zeros: share of values that are exactly 0.
        norm: square root of the sum of squares.
        not_finite: number of infinities and nans.
        histogram: of all values.
        channels: statistics by channel (axis 1; axis 0 of parameters); None for what has none, such as labels.
        values: the numbers of a small tensor, the last axis fastest; None for a larger one.
    """

    mean: float
    variance: float
    minimum: float
    maximum: float
    skewness: float
    saturation: float
    zeros: float
    norm: float
    not_finite: int
    histogram: Histogram
    channels: Channels | None = None
    values: Numbers | None = None


@dataclass(frozen=True)
class Observation:
    """What was measured of a node.

    Attributes:
        value: of the tensor that it is or computes.
        gradient: of the loss's derivative with respect to that tensor; None where none flows.
        seconds: of the operation's forward computation, the best of several.
        gradient_error: largest relative error of the operation's derivative against finite differences in float64;
            None where it was not checked, or cannot be.
    """

    value: Facts
    gradient: Facts | None = None
    seconds: float | None = None
    gradient_error: float | None = None
