"""Softmax and the cross-entropy of class indices: one launch each way, and the mean is computed on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import CudaBase
from .launch import BLOCKS
from .layout import is_covered, without_gaps

_WARP, _ROWS = 32, 8  # threads at a row, and rows at a time in a block
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


class LossOverrides(CudaBase):
    """Softmax along the last axis, and cross-entropy of class indices for logits (N, C)."""

    def softmax(self, x: Any, axis: int) -> Any:
        return self._softmax(x, False) if _is_last(x, axis) else super().softmax(x, axis)

    def softmax_grad(self, grad: Any, output: Any, axis: int) -> Any:
        if _is_last(output, axis) and grad.dtype == output.dtype:
            return self._softmax_grad(grad, output, False)
        return super().softmax_grad(grad, output, axis)

    def log_softmax(self, x: Any, axis: int) -> Any:
        return self._softmax(x, True) if _is_last(x, axis) else super().log_softmax(x, axis)

    def log_softmax_grad(self, grad: Any, output: Any, axis: int) -> Any:
        if _is_last(output, axis) and grad.dtype == output.dtype:
            return self._softmax_grad(grad, output, True)
        return super().log_softmax_grad(grad, output, axis)

    def class_cross_entropy(self, x: Any, target: Any, ignore_index: int, reduction: str) -> Any:
        if x.ndim != 2 or not _covers(x):
            return super().class_cross_entropy(x, target, ignore_index, reduction)
        blocks = _blocks(len(x))
        losses = self.xp.empty(target.shape if reduction == "none" else (), x.dtype)
        partials = self.xp.empty(2 * blocks, np.float64)
        x, target = without_gaps(x), _indices(target)
        rest = (np.int64(ignore_index), np.int32(_REDUCTIONS[reduction]), partials, self.arrived, losses)
        kernel = self.program.kernel("cross_entropy", x.dtype)
        kernel((1, blocks), (_WARP, _ROWS), (x, target, *_size(x), *rest))
        return losses

    def class_cross_entropy_grad(self, grad: Any, x: Any, target: Any, ignore_index: int, reduction: str) -> Any:
        if x.ndim != 2 or not _covers(x) or grad.dtype != x.dtype:
            return super().class_cross_entropy_grad(grad, x, target, ignore_index, reduction)
        grad, x, target = without_gaps(grad), without_gaps(x), _indices(target)
        grad_x = self.xp.empty(x.shape, x.dtype)
        step = np.int32(1 if reduction == "none" else 0)
        rest = (np.int64(ignore_index), np.int32(_REDUCTIONS[reduction]), grad_x)
        kernel = self.program.kernel("cross_entropy_gradient", x.dtype)
        kernel((_blocks(len(x)),), (_WARP, _ROWS), (grad, step, x, target, *_size(x), *rest))
        return grad_x

    def _softmax(self, x: Any, logarithm: bool) -> Any:
        x = without_gaps(x)
        y = self.xp.empty(x.shape, x.dtype)
        self._launch_softmax("softmax", x, logarithm, y)
        return y

    def _softmax_grad(self, grad: Any, output: Any, logarithm: bool) -> Any:
        grad_x = self.xp.empty(output.shape, output.dtype)
        self._launch_softmax("softmax_gradient", without_gaps(output), logarithm, grad_x, without_gaps(grad))
        return grad_x

    def _launch_softmax(self, name: str, x: Any, logarithm: bool, out: Any, *before: Any) -> None:
        rows, classes = _size(x)
        blocks = -(-int(rows) // _ROWS)
        arguments = (*before, x, rows, classes, np.int32(logarithm), out)
        self.program.kernel(name, x.dtype)((blocks,), (_WARP, _ROWS), arguments)


def _covers(x: Any) -> bool:
    return is_covered(x.dtype) and x.size > 0


def _is_last(x: Any, axis: int) -> bool:
    return _covers(x) and axis == x.ndim - 1


def _size(x: Any) -> tuple[np.int64, np.int32]:
    """Return the number of rows and of classes."""
    return np.int64(x.size // x.shape[-1]), np.int32(x.shape[-1])


def _blocks(rows: int) -> int:
    return min(-(-rows // _ROWS), BLOCKS)


def _indices(target: Any) -> Any:
    return without_gaps(target if target.dtype == np.int64 else target.astype(np.int64))
