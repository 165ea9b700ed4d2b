"""Surveys of the values of each channel, compiled: one pass for their range and one for everything else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..reference import Kernels
from ..reference.survey import Extremes, MagnitudeBins, Moments, Survey
from .launch import launch, number_of_parts
from .layout import FLOATS, behaved, rows_of
from .survey_kernels import (
    ABSOLUTE_SUM,
    COUNT,
    MEAN,
    MOST_ROWS,
    SECOND,
    THIRD,
    ZEROS,
    block_extremes,
    join_blocks,
    join_cuts,
    survey_blocks,
)

_WIDTH = 512  # values: four rows of this width, the accumulators, stay in the first cache
_WIDTHS_IN_BLOCK = 64
_LANES = 16
_ROWS = 1024  # of a block: with the channels that share cache lines, 64 KiB of float32
_GROUP = 16  # channels: so many float32 numbers share a cache line
_NANOSECONDS_OF_RANGE, _NANOSECONDS = 0.5, 3.0  # per value
_MOST_ROWS = 1 << 27  # sums of squared units are 64-bit integers


class SurveyOverrides(Kernels):
    """Both for (N, C) and (N, C, H, W) in float32 and float64."""

    def extremes(self, x: Any) -> Extremes:
        if not _covered(x):
            return super().extremes(x)
        channels = x.shape[1]
        step = math.lcm(channels, _LANES)
        width = min((step if step <= _WIDTH else channels) * max(1, _WIDTH // step), x.size)
        size = width * _WIDTHS_IN_BLOCK
        count = -(-x.size // size)
        values = self.device.memory.workspace((count, 2, channels), x.dtype)
        magnitudes = self.device.memory.workspace((count, 2, channels), np.float32)
        parts = number_of_parts(count, x.size * _NANOSECONDS_OF_RANGE)
        run = rows_of(x).reshape(-1)
        launch(block_extremes, count, parts, run, values, magnitudes, size, width, np.finfo(x.dtype).max)
        return Extremes(
            values[:, 0].min(axis=0).astype(np.float64),
            values[:, 1].max(axis=0).astype(np.float64),
            magnitudes[:, 0].min(axis=0),
            magnitudes[:, 1].max(axis=0),
        )

    def survey(self, x: Any, edges: Any | None, bins: tuple[int, int] | None) -> Survey:
        if not _covered(x):
            return super().survey(x, edges, bins)
        memory, channels = self.device.memory, x.shape[1]
        rows = x.size // channels
        count = -(-rows // _ROWS)
        groups = -(-channels // _GROUP)
        parts = number_of_parts(groups * count, x.size * _NANOSECONDS)
        cuts = min(count, max(-(-parts // groups), -(-rows // MOST_ROWS)))
        first_bin, last_bin = bins or (0, 0)
        slots = 0 if bins is None else 1 + last_bin - first_bin
        blocks = memory.workspace((count, channels, 6), np.float64)
        histogram = memory.empty((cuts, channels, 0 if edges is None else len(edges) - 1), np.int64)
        tables = memory.workspace((cuts, channels, slots, 2), np.int64)
        launch(
            survey_blocks,
            groups * cuts,
            min(parts, groups * cuts),
            rows_of(x).reshape(-1),
            channels,
            _GROUP,
            _ROWS,
            cuts,
            blocks,
            np.empty(0) if edges is None else behaved(edges),
            histogram,
            first_bin,
            tables,
            np.finfo(x.dtype).max,
        )
        whole = np.empty((channels, 6))
        join_blocks(blocks, whole)
        magnitudes = None
        if bins is not None:
            sums = memory.empty((2, channels, slots), np.float64)
            magnitudes = MagnitudeBins(memory.empty((channels, slots), np.int64), sums[0], sums[1])
            join_cuts(tables, *magnitudes)
        found = whole[:, COUNT].astype(np.int64)
        return Survey(
            Moments(found, *(whole[:, kind].copy() for kind in (MEAN, SECOND, THIRD))),
            rows - found,
            whole[:, ZEROS].astype(np.int64),
            whole[:, ABSOLUTE_SUM].copy(),
            None if edges is None else histogram.sum(axis=0),
            magnitudes,
        )


def _covered(x: Any) -> bool:
    return x.dtype in FLOATS and x.ndim in (2, 4) and x.size > 0 and x.size // x.shape[1] <= _MOST_ROWS
