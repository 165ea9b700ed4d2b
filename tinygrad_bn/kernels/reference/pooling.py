"""Max and average pooling over windows, both ways. Arrays are logically (N, C, H, W)."""

from __future__ import annotations

from typing import Any

from ...dtypes import is_half
from .windows import Pair, channels_first, channels_last, windows


class PoolingKernels:
    """Pooling kernels loop over the elements of the window only: each step handles all windows at once.

    Inside, images are channels-last (N, H, W, C), so that each step runs along memory.
    """

    xp: Any

    def max_pool2d(
        self, x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair
    ) -> tuple[Any, Any]:
        """Return the maximum of every window and which element of the window it was (row-major, a small integer).

        The first maximum wins, but the last NaN, which counts as larger than everything (PyTorch's rule).
        """
        xp = self.xp
        padded = self._padded(x, kernel, stride, padding, dilation, out_size, -xp.inf)
        best = winner = None
        for number, (_, _, window) in enumerate(windows(padded, kernel, stride, dilation, out_size)):
            if best is None:
                best, winner = window.copy(), xp.empty(window.shape, dtype="int32")
                winner[...] = self._first_inside(kernel, stride, padding, dilation, out_size)
            else:
                winner = xp.where((window > best) | (window != window), xp.int32(number), winner)
                best = xp.maximum(best, window)
        return channels_first(best), channels_first(winner)

    def max_pool2d_indices(
        self, winner: Any, width: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
    ) -> Any:
        """Return where each window's maximum was, as row * width + column, int64."""
        xp = self.xp
        rows = xp.arange(winner.shape[2])[:, None] * stride[0] - padding[0] + winner // kernel[1] * dilation[0]
        columns = xp.arange(winner.shape[3]) * stride[1] - padding[1] + winner % kernel[1] * dilation[1]
        return (rows * width + columns).astype("int64")

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
        canvas = self._zeros(values, _canvas_size(input_size, kernel, stride, padding, dilation, out_size))
        values, winner = channels_last(values), channels_last(winner)
        for number, (_, _, window) in enumerate(windows(canvas, kernel, stride, dilation, out_size)):
            window += self.xp.where(winner == number, values, 0)
        return channels_first(_interior(canvas, input_size, padding))

    def max_pool2d_gather(self, x: Any, winner: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
        """Read from x (N, C, H, W) the element that won each window."""
        out_size = (winner.shape[2], winner.shape[3])
        padded = self._padded(x, kernel, stride, padding, dilation, out_size, 0)
        winner = channels_last(winner)
        result = self.xp.zeros(winner.shape, dtype=x.dtype)
        for number, (_, _, window) in enumerate(windows(padded, kernel, stride, dilation, out_size)):
            result += self.xp.where(winner == number, window, 0)
        return channels_first(result)

    def avg_pool2d(self, x: Any, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, divisor: Any) -> Any:
        """Return the sum of every window divided by `divisor`, a number or an array (OH, OW)."""
        dtype = "float32" if is_half(x.dtype) else x.dtype
        if padding == (0, 0) and _are_tiles((x.shape[2], x.shape[3]), kernel, stride, out_size):
            total = _tiles(channels_last(x), kernel, out_size).sum(axis=(2, 4), dtype=dtype)
            return (channels_first(total) / divisor).astype(x.dtype)
        padded = self._padded(x, kernel, stride, padding, (1, 1), out_size, 0)
        total = self.xp.zeros((x.shape[0], *out_size, x.shape[1]), dtype=dtype)
        for _, _, window in windows(padded, kernel, stride, (1, 1), out_size):
            total += window
        return (channels_first(total) / divisor).astype(x.dtype)

    def avg_pool2d_grad(
        self, grad: Any, input_size: Pair, kernel: Pair, stride: Pair, padding: Pair, divisor: Any
    ) -> Any:
        """Give each window's elements an equal share of its gradient; returns (N, C, *input_size)."""
        out_size = (grad.shape[2], grad.shape[3])
        share = channels_last((grad / divisor).astype(grad.dtype))
        if padding == (0, 0) and _are_tiles(input_size, kernel, stride, out_size):
            result = self.xp.empty((grad.shape[0], *input_size, grad.shape[1]), dtype=grad.dtype)
            _tiles(result, kernel, out_size)[...] = share[:, :, None, :, None]
            return channels_first(result)
        canvas = self._zeros(grad, _canvas_size(input_size, kernel, stride, padding, (1, 1), out_size))
        for _, _, window in windows(canvas, kernel, stride, (1, 1), out_size):
            window += share
        return channels_first(_interior(canvas, input_size, padding))

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

    def _first_inside(self, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair) -> Any:
        """Return which element of each window is the first that lies not in the padding, (OH, OW, 1).

        It wins where nothing is larger than minus infinity, which is also what the padding holds.
        """
        rows, columns = (
            self.xp.clip(-((self.xp.arange(out_size[d]) * stride[d] - padding[d]) // dilation[d]), 0, kernel[d] - 1)
            for d in (0, 1)
        )
        return (rows[:, None] * kernel[1] + columns)[..., None]

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
        """Return x, channels-last, within a border of `value` that is wide enough for every window."""
        size = (x.shape[2], x.shape[3])
        canvas_size = _canvas_size(size, kernel, stride, padding, dilation, out_size)
        if canvas_size == size:
            return channels_last(x)
        canvas = self.xp.full((x.shape[0], *canvas_size, x.shape[1]), value, dtype=x.dtype)
        _interior(canvas, size, padding)[...] = channels_last(x)
        return canvas

    def _zeros(self, like: Any, size: Pair) -> Any:
        return self.xp.zeros((like.shape[0], *size, like.shape[1]), dtype=like.dtype)


def _interior(canvas: Any, size: Pair, padding: Pair) -> Any:
    """Return the part of a padded channels-last canvas that holds the image."""
    top, left = padding
    return canvas[:, top : top + size[0], left : left + size[1]]


def _are_tiles(input_size: Pair, kernel: Pair, stride: Pair, out_size: Pair) -> bool:
    """Return whether windows without padding cover the image without gaps or overlaps."""
    return stride == kernel and input_size == (out_size[0] * kernel[0], out_size[1] * kernel[1])


def _tiles(images: Any, kernel: Pair, out_size: Pair) -> Any:
    """Return channels-last images as (N, OH, KH, OW, KW, C)."""
    return images.reshape(images.shape[0], out_size[0], kernel[0], out_size[1], kernel[1], images.shape[3])


def _canvas_size(input_size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair) -> Pair:
    """Return the height and width that hold the padded input and every window, also ceil mode's last ones."""
    rows, columns = (
        max(input_size[d] + 2 * padding[d], (out_size[d] - 1) * stride[d] + dilation[d] * (kernel[d] - 1) + 1)
        for d in (0, 1)
    )
    return rows, columns
