"""Kernels that look at the values of each channel: rows of channels, in blocks that stay in the first cache.

A channel's finite values of a block are first copied side by side; then everything about them is computed while they
are in cache, and what can be computed with vectors is. Moments are left for each block and joined in the order of the
blocks; all else that is added up are integers, or sums of a block. So nothing depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference.survey import SHIFT, UNITS
from .compiler import compiled, compiled_part
from .stretch import stretch

COUNT, MEAN, SECOND, THIRD, ABSOLUTE_SUM, ZEROS = range(6)
"""What is left of each block and channel, as float64."""

COUNT_SHIFT = 40
"""A bin's count and its sum of units share one integer: count << 40 | units."""

MOST_ROWS = 1 << (COUNT_SHIFT - SHIFT - 1)
"""So many values of one channel, and a block more, fit into such an integer."""

_ROUNDING = 2.0**-48
"""More than the relative error of a value's place among the bins, and of their edges."""


@compiled
def block_extremes(
    part: int, first: int, last: int, x: Any, values: Any, magnitudes: Any, size: int, width: int, biggest: Any
) -> None:
    """values[b] = minimum and maximum, magnitudes[b] = smallest and largest float32 number of each channel in block b.

    A few rows are seen as one long row of `width` values. `biggest` is the largest finite number of x's dtype.
    """
    channels = values.shape[2]
    most = np.float32(np.finfo(np.float32).max)
    low, high = np.empty(width, x.dtype), np.empty(width, x.dtype)
    smallest, largest = np.empty(width, np.float32), np.empty(width, np.float32)
    for block in range(first, last):
        low[:], high[:], smallest[:], largest[:] = np.inf, -np.inf, np.inf, 0.0
        end = min((block + 1) * size, x.size)
        for start in range(block * size, end, width):
            row = stretch(x, start, min(start + width, end))
            for j in range(row.size):
                v = row[j]
                finite = abs(v) <= biggest
                low[j] = v if finite & (v < low[j]) else low[j]
                high[j] = v if finite & (v > high[j]) else high[j]
                m = np.float32(abs(v) if abs(v) <= most else x.dtype.type(most))
                smallest[j] = m if finite & (m > np.float32(0.0)) & (m < smallest[j]) else smallest[j]
                largest[j] = m if finite & (m > largest[j]) else largest[j]
        for c in range(channels):
            values[block, 0, c], values[block, 1, c] = np.inf, -np.inf
            magnitudes[block, 0, c], magnitudes[block, 1, c] = np.inf, 0.0
        for start in range(0, width, channels):
            for c in range(channels):
                values[block, 0, c] = min(values[block, 0, c], low[start + c])
                values[block, 1, c] = max(values[block, 1, c], high[start + c])
                magnitudes[block, 0, c] = min(magnitudes[block, 0, c], smallest[start + c])
                magnitudes[block, 1, c] = max(magnitudes[block, 1, c], largest[start + c])


@compiled
def survey_blocks(
    part: int,
    first: int,
    last: int,
    x: Any,
    channels: int,
    group: int,
    rows: int,
    cuts: int,
    blocks: Any,
    edges: Any,
    histogram: Any,
    first_bin: int,
    tables: Any,
    biggest: Any,
) -> None:
    """Survey some rows of some channels; piece i is cut i % cuts of the channels' group i // cuts, `group` channels.

    blocks[b] receives the moments and sums of block b, of `rows` rows; histogram[cut] and tables[cut] the counts of a
    cut's blocks: (C, B), and for each bin of magnitudes count and units in one integer and squared units, (C, bins, 2).
    """
    values, own = np.empty(rows, x.dtype), np.empty(rows, np.float32)
    slots = np.empty(rows, np.int32)
    total_rows = x.size // channels
    for piece in range(first, last):
        cut = piece % cuts
        begin = piece // cuts * group
        end = min(begin + group, channels)
        if edges.size:
            histogram[cut, begin:end] = 0
        if tables.size:
            tables[cut, begin:end] = 0
        for block in range(len(blocks) * cut // cuts, len(blocks) * (cut + 1) // cuts):
            row = block * rows
            for channel in range(begin, end):
                here = stretch(values, 0, min(rows, total_rows - row))
                for j in range(here.size):
                    here[j] = x[(row + j) * channels + channel]
                here = stretch(values, 0, _move_finite_to_front(here, biggest))
                _moments(here, blocks[block, channel])
                zeros = np.int64(blocks[block, channel, ZEROS])
                if zeros:  # they need not be looked up, one by one, and often lie on an edge
                    if edges.size:
                        histogram[cut, channel, _slot_of_zero(edges)] += zeros
                    if tables.size:
                        tables[cut, channel, 0, 0] += zeros << COUNT_SHIFT
                    here = stretch(values, 0, _move_others_to_front(here))
                if edges.size:
                    _count(here, edges, stretch(slots, 0, here.size), histogram[cut, channel])
                if tables.size:
                    _count_magnitudes(here, stretch(own, 0, here.size), first_bin, tables[cut, channel])


@compiled_part
def _move_finite_to_front(values: Any, biggest: Any) -> int:
    """Return how many values are finite; they are the first ones then."""
    finite = 0
    for j in range(values.size):
        finite += abs(values[j]) <= biggest
    if finite < values.size:
        finite = 0
        for j in range(values.size):
            v = values[j]
            values[finite] = v
            finite += abs(v) <= biggest
    return finite


@compiled_part
def _move_others_to_front(values: Any) -> int:
    """Return how many values are not zero; they are the first ones then."""
    others = 0
    for j in range(values.size):
        v = values[j]
        values[others] = v
        others += v != 0.0
    return others


@compiled_part
def _moments(values: Any, result: Any) -> None:
    """Set what `blocks` holds of one block and channel; its mean is corrected by what deviations from it sum up to."""
    count = float(values.size)
    total = absolute = 0.0
    zeros = 0
    for j in range(values.size):
        v = np.float64(values[j])
        total += v
        absolute += abs(v)
        zeros += v == 0.0
    mean = total / max(count, 1.0)
    deviations = second = third = 0.0
    for j in range(values.size):
        d = np.float64(values[j]) - mean
        deviations += d
        second += d * d
        third += d * d * d
    error = deviations / max(count, 1.0)
    result[COUNT], result[ABSOLUTE_SUM], result[ZEROS] = count, absolute, zeros
    result[MEAN], result[SECOND], result[THIRD] = mean, second, third
    if abs(error) < np.inf:
        result[MEAN] = mean + error
        result[SECOND] = max(second - error * deviations, 0.0)
        result[THIRD] = third - 3.0 * error * second + 2.0 * error * error * deviations


@compiled
def join_blocks(blocks: Any, result: Any) -> None:
    """result (C, 6) = the blocks (b, C, 6) taken together; moments as `Moments.joined` in the reference."""
    result[:] = 0.0
    for block in range(len(blocks)):
        for channel in range(len(result)):
            whole, other = result[channel], blocks[block, channel]
            a, b = whole[COUNT], other[COUNT]
            if b == 0.0:
                continue
            delta = other[MEAN] - whole[MEAN]
            cubes = delta**3 * a * b * (a - b) / (a + b) ** 2
            whole[THIRD] += other[THIRD] + cubes + 3.0 * delta * (a * other[SECOND] - b * whole[SECOND]) / (a + b)
            whole[SECOND] += other[SECOND] + delta * delta * a * b / (a + b)
            whole[MEAN] += delta * (b / (a + b))
            for kind in (COUNT, ABSOLUTE_SUM, ZEROS):
                whole[kind] += other[kind]


@compiled
def join_cuts(tables: Any, counts: Any, units: Any, squared_units: Any) -> None:
    """Set the three sums of each bin of magnitudes, (C, bins), to those of the cuts' tables."""
    cuts, channels, bins, _ = tables.shape
    for channel in range(channels):
        for slot in range(bins):
            count = unit = squared_unit = 0
            for cut in range(cuts):
                packed = tables[cut, channel, slot, 0]
                count += packed >> COUNT_SHIFT
                unit += packed & ((1 << COUNT_SHIFT) - 1)
                squared_unit += tables[cut, channel, slot, 1]
            counts[channel, slot], units[channel, slot], squared_units[channel, slot] = count, unit, squared_unit


@compiled_part
def _slot_of_zero(edges: Any) -> int:
    """Return the histogram's bin of 0."""
    slot = 0
    while slot < edges.size - 2 and edges[slot + 1] <= 0.0:
        slot += 1
    return slot


@compiled_part
def _count(values: Any, edges: Any, slots: Any, counts: Any) -> None:
    """counts[slot] += 1 for each value's bin of the histogram.

    A bin is computed, for vectors know no cheap way to look at edges; only where one of the values comes so close to an
    edge that rounding might have taken it across, all are held against the edges.
    """
    bins = counts.size
    low, high = edges[0], edges[bins]
    scale, most = bins / (high - low), np.int32(bins - 1)
    close = scale * (abs(low) + abs(high)) * _ROUNDING
    doubtful = 0
    for j in range(values.size):
        v = np.float64(values[j])
        place = (v - low) * scale
        place = place if place > 0.0 else 0.0
        place = place if place < bins else np.float64(bins)
        slot = np.int32(place)
        beyond = place - slot
        doubtful += ((beyond < close) | (beyond > 1.0 - close)) & (v > low) & (v < high)
        slots[j] = slot if slot < most else most
    if doubtful:
        for j in range(values.size):
            v, slot = np.float64(values[j]), slots[j]
            if slot > 0 and v < edges[slot]:
                slots[j] = slot - 1
            elif slot < most and v >= edges[slot + 1]:
                slots[j] = slot + 1
    for j in range(values.size):
        counts[np.uint32(slots[j])] += 1  # a negative number would be looked at twice


@compiled_part
def _count_magnitudes(values: Any, own: Any, first_bin: int, table: Any) -> None:
    """Add count, units and squared units of each magnitude to its bin; `own` is memory to work in."""
    most = values.dtype.type(np.finfo(np.float32).max)
    for j in range(values.size):
        m = abs(values[j])
        own[j] = m if m <= most else most
    bits = own.view(np.int32)
    for j in range(bits.size):
        slot = np.uint32((bits[j] >> SHIFT) - (first_bin - 1) if bits[j] else 0)
        units = np.int64(bits[j] & UNITS)
        table[slot, 0] += (1 << COUNT_SHIFT) + units
        table[slot, 1] += units * units
