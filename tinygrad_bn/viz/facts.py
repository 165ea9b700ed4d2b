"""From arrays to the plain numbers that a drawing shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .observation import Channels, Facts, Histogram, Numbers

MOST_VALUES = 64
"""Numbers of a tensor that are shown one by one; of a larger one, statistics alone are."""

BINS = 32

Array = np.ndarray[Any, np.dtype[Any]]


@np.errstate(all="ignore")
def facts_of(array: Array, channel_axis: int) -> Facts:
    """Return the statistics of a tensor, computed in float64.

    Skewness is the adjusted one, `g1 sqrt(n (n - 1)) / (n - 2)`, of each channel.

    Args:
        array: on the host, of any shape and dtype of numbers.
        channel_axis: which axis counts the channels; a tensor with fewer axes has channels along its last.
    """
    values = np.asarray(array, dtype=np.float64)
    axis = min(channel_axis, values.ndim - 1)
    count = values.shape[axis] if values.ndim else 1
    rows = (np.moveaxis(values, axis, 0) if values.ndim else values).reshape(count, values.size // max(count, 1))
    channels = _channels(rows)
    finite = rows[np.isfinite(rows)]
    magnitudes = np.abs(finite)
    largest = magnitudes.max(initial=0.0)
    skewness = np.abs(np.asarray(channels.skewness))
    return Facts(
        mean=_ratio(finite.sum(), finite.size),
        variance=float(finite.var()) if finite.size else math.nan,
        minimum=float(finite.min()) if finite.size else math.nan,
        maximum=float(finite.max()) if finite.size else math.nan,
        skewness=_ratio(np.nansum(skewness), int(np.count_nonzero(~np.isnan(skewness)))),
        saturation=_ratio(magnitudes.sum(), finite.size * largest),
        zeros=_ratio(int(np.count_nonzero(finite == 0.0)), finite.size),
        norm=float(np.sqrt(np.square(finite).sum())),
        not_finite=int(rows.size - finite.size),
        histogram=_histogram(finite),
        channels=channels if values.ndim else None,
        values=tuple(values.ravel().tolist()) if values.size <= MOST_VALUES else None,
    )


def _channels(rows: Array) -> Channels:
    """Return the statistics of each row."""
    finite = np.isfinite(rows)
    count = finite.sum(axis=1)
    clean = np.where(finite, rows, 0.0)
    mean = clean.sum(axis=1) / count
    deviation = np.where(finite, clean - mean[:, None], 0.0)
    square = np.square(deviation)
    variance = square.sum(axis=1) / count
    third = (square * deviation).sum(axis=1) / count
    constant = np.sqrt(square.max(axis=1, initial=0.0)) <= 1e-12 * np.abs(mean)
    skewness = np.where(constant, np.nan, third / variance**1.5 * np.sqrt(count * (count - 1.0)) / (count - 2.0))
    magnitudes = np.abs(clean)
    largest = magnitudes.max(axis=1, initial=0.0)
    saturation = magnitudes.sum(axis=1) / (count * largest)
    zeros = np.count_nonzero(finite & (rows == 0.0), axis=1) / count
    norm = np.sqrt(np.square(clean).sum(axis=1))
    return Channels(*map(_numbers, (mean, variance, skewness, saturation, zeros, norm)))


def _numbers(values: Array) -> Numbers:
    return tuple(values.tolist())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def _histogram(values: Array) -> Histogram:
    if not values.size:
        return Histogram(0.0, 0.0, ())
    low, high = float(values.min()), float(values.max())
    width = high - low
    if not math.isfinite(width) or width <= 1e-12 * max(abs(low), abs(high)):  # all values are one, or too far apart
        return Histogram(low, high, (values.size,))
    counts, _ = np.histogram(values, BINS, (low, high))
    return Histogram(low, high, tuple(counts.tolist()))
