"""Padding the borders of images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..checks import as_index, as_number
from ..errors import ArgumentError, DTypeError, ShapeError, explain, unknown_choice
from ..tensor import Tensor

MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Add elements around the last axes, as `torch.nn.functional.pad`.

    Args:
        input: of any shape.
        pad: (before, after) of the last axis, then of the one before it, and so on; negative numbers crop.
        mode: "constant"; "reflect" (mirrored without the border), "replicate" (the border repeated) or "circular".
        value: the constant, 0 by default; only with mode "constant".
    """
    if not isinstance(input, Tensor):
        raise DTypeError(explain("pad", "input to be a Tensor", type(input).__name__, "wrap it with tg.tensor(...)"))
    if mode not in MODES:
        raise unknown_choice("pad", "mode", mode, MODES)
    if not isinstance(pad, Iterable):
        raise ArgumentError(explain("pad", "a sequence of amounts, two per axis", f"pad={pad!r}"))
    amounts = [as_index("pad", "each amount", n) for n in pad]
    if len(amounts) % 2 or len(amounts) > 2 * input.ndim:
        raise ArgumentError(explain("pad", f"an even number of amounts, at most {2 * input.ndim}", f"pad={tuple(pad)}"))
    constant = 0.0 if value is None else as_number("pad", "value", value)
    if value is not None and mode != "constant":
        raise ArgumentError(explain("pad", "value with mode='constant' only", f"value={value}, mode={mode!r}"))
    widths = [(0, 0)] * (input.ndim - len(amounts) // 2)
    widths += [(amounts[i], amounts[i + 1]) for i in range(len(amounts) - 2, -1, -2)]
    for d, (before, after) in enumerate(widths):
        if input.shape[d] + before + after < 0 or -before > input.shape[d] or -after > input.shape[d]:
            raise ShapeError(explain("pad", f"cropping at most {input.shape[d]} of axis {d}", f"{(before, after)}"))
    if mode != "constant":
        result = input
        for d, (before, after) in enumerate(widths):
            if before or after:
                index = input.device.from_host(_source_index(mode, input.shape[d], before, after))
                result = result[(slice(None),) * d + (input.wrap(index),)]
        return result
    inside = tuple(
        slice(max(0, -before), n - max(0, -after)) for n, (before, after) in zip(input.shape, widths, strict=True)
    )
    cropped = input[inside] if any(min(w) < 0 for w in widths) else input
    added = [(max(0, before), max(0, after)) for before, after in widths]
    return cropped.pad(added, constant) if any(sum(w) for w in added) else cropped


def _source_index(mode: str, length: int, before: int, after: int) -> np.ndarray:
    """Return which element of an axis each element of the padded axis repeats (PyTorch's rules)."""
    position = np.arange(-before, length + after)
    first, end = max(0, -before), length - max(0, -after)  # what cropping leaves
    limit = {"reflect": length - 1, "circular": end - first, "replicate": None}[mode]
    if length == 0 or (limit is not None and max(before, after) > limit):
        raise ShapeError(
            explain("pad", f"amounts of at most {limit} for mode {mode!r} and length {length}", f"{(before, after)}")
        )
    source: np.ndarray
    if mode == "replicate":
        source = np.clip(position, 0, length - 1)
    elif mode == "circular":
        source = first + (position - first) % (end - first)
    else:
        source = (length - 1) - np.abs((length - 1) - np.abs(position))
    return source
