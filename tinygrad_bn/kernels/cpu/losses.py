"""Cross-entropy of class indices, in one pass each way and without anything of the size of the logits in between."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import Kernels
from .compiler import compiled, compiled_part
from .launch import launch, number_of_parts
from .layout import FLOATS, rows_of

_NANOSECONDS = 5.0  # per logit


class LossOverrides(Kernels):
    """Cross-entropy of class indices for logits (N, C) and (N, C, H, W) in float32 and float64."""

    def class_cross_entropy(self, x: Any, target: Any, ignore_index: int, reduction: str) -> Any:
        if not _covered(x):
            return super().class_cross_entropy(x, target, ignore_index, reduction)
        losses = self.device.memory.empty(target.shape, x.dtype)
        parts = number_of_parts(target.size, x.size * _NANOSECONDS)
        sums = np.zeros((parts, 2))
        launch(_add_losses, target.size, parts, rows_of(x), _flat(target), ignore_index, losses.reshape(-1), sums)
        if reduction == "none":
            return losses
        total, count = sums[0] if parts == 1 else sums.sum(axis=0)
        return np.asarray(total / count if reduction == "mean" else total, dtype=x.dtype)

    def class_cross_entropy_grad(self, grad: Any, x: Any, target: Any, ignore_index: int, reduction: str) -> Any:
        if not _covered(x):
            return super().class_cross_entropy_grad(grad, x, target, ignore_index, reduction)
        rows = rows_of(x)
        out = self.device.memory.empty(rows.shape, x.dtype)
        if reduction == "mean":
            grad = grad / np.count_nonzero(target != ignore_index)
        shares = np.array(grad, dtype=x.dtype).reshape(-1)
        step = 1 if reduction == "none" else 0
        parts = number_of_parts(target.size, x.size * _NANOSECONDS)
        launch(_subtract_targets, target.size, parts, rows, _flat(target), ignore_index, shares, step, out)
        if x.ndim == 2:
            return out
        return out.reshape(x.shape[0], *x.shape[2:], x.shape[1]).transpose(0, 3, 1, 2)


def _covered(x: Any) -> bool:
    return x.dtype in FLOATS and x.ndim in (2, 4) and x.size > 0


def _flat(target: Any) -> Any:
    target = target.reshape(-1)
    return target if target.dtype == np.int64 and target.flags.carray else target.astype(np.int64)


@compiled_part
def _exponentials(row: Any, result: Any) -> Any:
    """Return the largest logit of a row, and the sum of exp(logit - largest); `result` receives the summands."""
    highest = row[0]
    for c in range(row.size):
        highest = max(highest, row[c])
    total = 0.0
    for c in range(row.size):
        result[c] = np.exp(row[c] - highest)
        total += result[c]
    return highest, total


@compiled
def _add_losses(
    part: int, first: int, last: int, x: Any, target: Any, ignore_index: int, losses: Any, sums: Any
) -> None:
    """Compute each row's loss; sums[part] receives their sum and how many count."""
    exponentials = np.empty(x.shape[1], x.dtype)
    for i in range(first, last):
        if target[i] == ignore_index:
            losses[i] = 0.0
            continue
        highest, total = _exponentials(x[i], exponentials)
        losses[i] = np.log(total) - (x[i, target[i]] - highest)
        sums[part, 0] += losses[i]
        sums[part, 1] += 1.0


@compiled
def _subtract_targets(
    part: int,
    first: int,
    last: int,
    x: Any,
    target: Any,
    ignore_index: int,
    shares: Any,
    step: int,
    out: Any,
) -> None:
    """out = (softmax(x) - one_hot(target)) * share, row by row; `step` is the distance between rows' shares."""
    for i in range(first, last):
        share = shares[i * step] if target[i] != ignore_index else x.dtype.type(0.0)
        _, total = _exponentials(x[i], out[i])
        for c in range(x.shape[1]):
            probability = out[i, c] / x.dtype.type(total)
            out[i, c] = (probability - 1 if c == target[i] else probability) * share
