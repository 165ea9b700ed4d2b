"""Sliding windows over channels-last images, as strided views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Pair = tuple[int, int]


def windows(x: Any, kernel: Pair, stride: Pair, dilation: Pair, out_size: Pair) -> Iterator[tuple[int, int, Any]]:
    """Yield (i, j, the view (N, OH, OW, C) of all pixels that kernel element (i, j) meets), row by row."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i * dilation[0], i * dilation[0] + (out_size[0] - 1) * stride[0] + 1, stride[0])
            columns = slice(j * dilation[1], j * dilation[1] + (out_size[1] - 1) * stride[1] + 1, stride[1])
            yield i, j, x[:, rows, columns]


def channels_last(x: Any) -> Any:
    """Return the (N, H, W, C) view of an (N, C, H, W) array."""
    return x.transpose(0, 2, 3, 1)


def channels_first(x: Any) -> Any:
    """Return the (N, C, H, W) view of an (N, H, W, C) array."""
    return x.transpose(0, 3, 1, 2)
