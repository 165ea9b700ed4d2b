"""How many positions a window has along an axis: part of the contract that every provider fulfils."""

from __future__ import annotations

import math

Pair = tuple[int, int]


def output_length(length: int, kernel: int, stride: int, padding: Pair, dilation: int) -> int:
    """Return the number of positions of a convolution's kernel along one axis; below 1 when it does not fit."""
    return (length + padding[0] + padding[1] - dilation * (kernel - 1) - 1) // stride + 1


def pooled_length(length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Return the number of pooling windows along one axis (PyTorch's rule).

    In ceil mode a last, partial window counts only when it begins inside the input or its left padding.
    """
    free = length + 2 * padding - dilation * (kernel - 1) - 1
    count = (math.ceil(free / stride) if ceil_mode else free // stride) + 1
    if ceil_mode and (count - 1) * stride >= length + padding:
        count -= 1
    return count
