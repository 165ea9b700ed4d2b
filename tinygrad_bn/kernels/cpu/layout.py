"""Which arrays the compiled kernels take: channels-last memory without gaps, float32 or float64."""

from __future__ import annotations

from typing import Any

import numpy as np

SCALARS = {np.dtype("float32"): "float32", np.dtype("float64"): "float64"}
"""Names of dtypes; `dtype.name` puts them together anew each time."""

FLOATS = tuple(SCALARS)


def rows_of(x: Any) -> Any:
    """Return x, (N, C) or (N, C, H, W), as C-contiguous rows (N * H * W, C); copies where memory is laid out otherwise.

    The copy is the exception: convolution, pooling and normalisation hand on channels-last memory.
    """
    if x.ndim == 2:
        return behaved(x)
    return behaved(x.transpose(0, 2, 3, 1)).reshape(-1, x.shape[1])


def images_of(x: Any) -> Any:
    """Return x (N, C, H, W) as C-contiguous (N, H, W, C); copies if its memory is laid out otherwise."""
    return behaved(x.transpose(0, 2, 3, 1))


def behaved(x: Any) -> Any:
    """Return x without gaps, aligned and writeable: kernels would be compiled anew for arrays that are not."""
    return x if x.flags.carray else x.copy()
