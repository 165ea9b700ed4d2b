"""Max and average pooling over windows, both ways. Arrays are logically (N, C, H, W)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

Pair = tuple[int, int]


def pooled_length(length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Return the number of windows along one axis (PyTorch's rule).

    In ceil mode a last, partial window counts only when it begins inside the input or its left padding.
    """
    free = length + 2 * padding - dilation * (kernel - 1) - 1
    count = (math.ceil(free / stride) if ceil_mode else free // stride) + 1
    if ceil_mode and (count - 1) * stride >= length + padding:
        count -= 1
    return count


class PoolingKernels:
    """Pooling kernels loop over the elements of the window only: each step handles all windows at once."""

    xp: Any

    def max_pool2d(
        self, x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair
    ) -> tuple[Any, Any]:
        """Return the maximum of every window and which element of the window it was (row-major, int32).

        The first maximum wins; NaN counts as larger than everything.
        """
        xp = self.xp
        lowest = -xp.inf if x.dtype.kind == "f" else xp.iinfo(x.dtype).min
        padded = self._padded(x, kernel, stride, padding, dilation, out_size, lowest)
        best = winner = None
        for number, window in enumerate(_windows(padded, kernel, stride, dilation, out_size)):
            if best is None:
                best, winner = window.copy(), xp.zeros_like(window, dtype="int32")
            else:
                better = (window > best) | ((window != window) & (best == best))
                best = xp.where(better, window, best)
                winner = xp.where(better, xp.int32(number), winner)
        return best, winner

    def max_pool2d_scatter(
        self,
        values: Any,
        winner: Any,
        input_size: Pair,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
    ) -> Any:
        """Add each window's value to the input element that won it; returns (N, C, *input_size)."""
        out_size = (values.shape[2], values.shape[3])
        padded = self._empty_canvas(values, input_size, kernel, stride, padding, dilation, out_size)
        for number, window in enumerate(_windows(padded, kernel, stride, dilation, out_size)):
            window += values * (winner == number)
        return self._cropped(padded, input_size, padding)

    def max_pool2d_gather(self, x: Any, winner: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
        """Read from x (N, C, H, W) the element that won each window."""
        out_size = (winner.shape[2], winner.shape[3])
        padded = self._padded(x, kernel, stride, padding, dilation, out_size, 0)
        result = self.xp.zeros_like(winner, dtype=x.dtype)
        for number, window in enumerate(_windows(padded, kernel, stride, dilation, out_size)):
            result += self.xp.where(winner == number, window, 0)
        return result

    def avg_pool2d(self, x: Any, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, divisor: Any) -> Any:
        """Return the sum of every window divided by `divisor`, a number or an array (OH, OW)."""
        padded = self._padded(x, kernel, stride, padding, (1, 1), out_size, 0)
        wide = "float32" if x.dtype == self.xp.float16 else x.dtype
        total = None
        for window in _windows(padded, kernel, stride, (1, 1), out_size):
            total = window.astype(wide) if total is None else self.xp.add(total, window, out=total)
        return (total / divisor).astype(x.dtype)

    def avg_pool2d_grad(
        self, grad: Any, input_size: Pair, kernel: Pair, stride: Pair, padding: Pair, divisor: Any
    ) -> Any:
        """Give each window's elements an equal share of its gradient; returns (N, C, *input_size)."""
        out_size = (grad.shape[2], grad.shape[3])
        share = (grad / divisor).astype(grad.dtype)
        padded = self._empty_canvas(grad, input_size, kernel, stride, padding, (1, 1), out_size)
        for window in _windows(padded, kernel, stride, (1, 1), out_size):
            window += share
        return self._cropped(padded, input_size, padding)

    def avg_pool2d_divisor(
        self,
        input_size: Pair,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        out_size: Pair,
        count_include_pad: bool,
    ) -> Any:
        """Return how many elements each window averages, (OH, OW) float64.

        Elements that only ceil mode adds beyond the padded input never count; padding counts if asked for.
        """
        lengths = []
        for d in (0, 1):
            start = self.xp.arange(out_size[d]) * stride[d] - padding[d]
            end = self.xp.minimum(start + kernel[d], input_size[d] + padding[d])
            if not count_include_pad:
                start, end = self.xp.maximum(start, 0), self.xp.minimum(end, input_size[d])
            lengths.append((end - start).astype("float64"))
        return lengths[0][:, None] * lengths[1][None, :]

    def _padded(
        self,
        x: Any,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        out_size: Pair,
        value: float,
    ) -> Any:
        """Return x within a border of `value` that is wide enough for every window."""
        canvas = _canvas_size((x.shape[2], x.shape[3]), kernel, stride, padding, dilation, out_size)
        if canvas == (x.shape[2], x.shape[3]):
            return x
        padded = self._channels_last((x.shape[0], x.shape[1], *canvas), x.dtype)
        padded[...] = value
        self._interior(padded, (x.shape[2], x.shape[3]), padding)[...] = x
        return padded

    def _empty_canvas(
        self,
        values: Any,
        input_size: Pair,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        out_size: Pair,
    ) -> Any:
        canvas = _canvas_size(input_size, kernel, stride, padding, dilation, out_size)
        padded = self._channels_last((values.shape[0], values.shape[1], *canvas), values.dtype)
        padded[...] = 0
        return padded

    def _cropped(self, padded: Any, input_size: Pair, padding: Pair) -> Any:
        return self._interior(padded, input_size, padding)

    def _interior(self, padded: Any, input_size: Pair, padding: Pair) -> Any:
        top, left = padding
        return padded[:, :, top : top + input_size[0], left : left + input_size[1]]

    def _channels_last(self, shape: tuple[int, ...], dtype: Any) -> Any:
        batch, channels, height, width = shape
        return self.xp.empty((batch, height, width, channels), dtype=dtype).transpose(0, 3, 1, 2)


def _canvas_size(input_size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair) -> Pair:
    """Return the height and width that hold the padded input and every window, also ceil mode's last ones."""
    rows, columns = (
        max(input_size[d] + 2 * padding[d], (out_size[d] - 1) * stride[d] + dilation[d] * (kernel[d] - 1) + 1)
        for d in (0, 1)
    )
    return rows, columns


def _windows(x: Any, kernel: Pair, stride: Pair, dilation: Pair, out_size: Pair) -> Iterator[Any]:
    """Yield, for each element of the window in row-major order, the view of all elements it meets."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i * dilation[0], i * dilation[0] + (out_size[0] - 1) * stride[0] + 1, stride[0])
            columns = slice(j * dilation[1], j * dilation[1] + (out_size[1] - 1) * stride[1] + 1, stride[1])
            yield x[:, :, rows, columns]
