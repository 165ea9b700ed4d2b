"""From arrays to the plain numbers that a drawing shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .observation import Channels, Facts, Histogram, Numbers

MOST_VALUES = 64
"""Numbers of a tensor that are shown one by one; of a larger one, statistics alone are."""

BINS = 32

LARGEST_FLOAT32 = 1e30
"""Larger values are looked at in float64: their differences would not be finite in float32."""

Array = np.ndarray[Any, np.dtype[Any]]


@np.errstate(all="ignore")
def facts_of(array: Array, channel_axis: int | None) -> Facts:
    """Return the statistics of a tensor, of a float32 one with sums in float64.

    Skewness is the adjusted one, `g1 sqrt(n (n - 1)) / (n - 2)`, of each channel, or of all values without channels.

    Args:
        array: on the host, of any shape and dtype of numbers.
        channel_axis: which axis counts the channels; None where there are none.
    """
    wide = array.dtype != np.float32 or np.abs(array).max(initial=0.0) > LARGEST_FLOAT32
    values = np.asarray(array, dtype=np.float64) if wide else array
    rows = values.reshape(1, values.size)
    if channel_axis is not None:
        count = values.shape[channel_axis]
        rows = np.moveaxis(values, channel_axis, 0).reshape(count, values.size // max(count, 1))
    total = rows.sum(dtype=np.float64)
    finite = None if np.isfinite(total) else np.isfinite(rows)  # a sum that is finite has no other terms
    channels = _channels(rows, finite)
    shown = rows if finite is None else rows[finite]
    mean = _ratio(shown.sum(dtype=np.float64), shown.size)
    square = np.square(shown - mean, dtype=np.float64).sum() if shown.size else 0.0
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (math.nan, math.nan)
    largest = max(abs(low), abs(high))
    skewness = np.abs(np.asarray(channels.skewness))
    return Facts(
        mean=mean,
        variance=_ratio(square, shown.size),
        minimum=low,
        maximum=high,
        skewness=_ratio(np.nansum(skewness), int(np.count_nonzero(~np.isnan(skewness)))),
        saturation=_ratio(np.abs(shown).sum(dtype=np.float64), shown.size * largest),
        zeros=_ratio(shown.size - int(np.count_nonzero(shown)), shown.size),
        norm=float(np.sqrt(square + shown.size * mean * mean)) if shown.size else 0.0,
        not_finite=int(rows.size - shown.size),
        histogram=_histogram(shown, low, high),
        channels=None if channel_axis is None else channels,
        values=tuple(values.ravel().tolist()) if values.size <= MOST_VALUES else None,
    )


def _channels(rows: Array, finite: Array | None) -> Channels:
    """Return the statistics of each row; entries that are not finite count for nothing."""
    count: Any = rows.shape[1] if finite is None else finite.sum(axis=1)
    clean = rows if finite is None else np.where(finite, rows, 0.0)
    # Each row by its largest magnitude: squares of values around 1e-25, vanishing gradients, are no float32 numbers.
    scale = np.abs(clean).max(axis=1, initial=0.0)
    scaled = clean / np.where(scale > 0.0, scale, 1.0)[:, None]
    mean = scaled.sum(axis=1, dtype=np.float64) / count
    deviation = scaled - mean.astype(scaled.dtype)[:, None]
    if finite is not None:
        deviation = np.where(finite, deviation, 0.0)
    square = np.square(deviation)
    variance = square.sum(axis=1, dtype=np.float64) / count
    third = np.multiply(square, deviation, out=deviation).sum(axis=1, dtype=np.float64) / count
    constant = np.sqrt(square.max(axis=1, initial=0.0)) <= np.finfo(scaled.dtype).eps * np.abs(mean)
    adjusted = third / variance**1.5 * np.sqrt(count * (count - 1.0)) / (count - 2.0)
    saturation = np.where(scale > 0.0, np.abs(scaled).sum(axis=1, dtype=np.float64) / count, np.nan)
    zeros = (rows.shape[1] - np.count_nonzero(rows, axis=1)) / count
    unit = scale.astype(np.float64)
    norm = unit * np.sqrt(count * (variance + mean * mean))
    skewness = np.where(constant, np.nan, adjusted)
    return Channels(*map(_numbers, (unit * mean, unit * unit * variance, skewness, saturation, zeros, norm)))


def _numbers(values: Array) -> Numbers:
    return tuple(values.tolist())


def _ratio(part: Any, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def _histogram(values: Array, low: float, high: float) -> Histogram:
    if not values.size:
        return Histogram(0.0, 0.0, ())
    width = high - low
    if not math.isfinite(width) or width <= 1e-12 * max(abs(low), abs(high)):  # all values are one, or too far apart
        return Histogram(low, high, (values.size,))
    # np.histogram takes several times as long; here a value within rounding of a bin's edge may fall to either side.
    bins = ((values.ravel() - low) / width * BINS).astype(np.int32)
    counts = np.bincount(np.minimum(bins, BINS - 1), minlength=BINS)
    return Histogram(low, high, tuple(counts.tolist()))
