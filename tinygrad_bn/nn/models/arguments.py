"""Arguments that the models share."""

from __future__ import annotations

from ...checks import as_index
from ...errors import ShapeError, explain


def image_shape(where: str, in_channels: int, image_size: int, at_least: int = 1) -> tuple[int, int, int]:
    """Return (channels, rows, columns) of square images, checked."""
    channels = as_index(where, "in_channels", in_channels, 1)
    size = as_index(where, "image_size", image_size)
    if size < at_least:
        raise ShapeError(explain(where, f"image_size of at least {at_least}", str(size)))
    return channels, size, size
