"""Which algorithm computes a convolution without groups: a rule on its shape, unless the user has chosen.

The rule counts products. F(t x t, 3x3) takes (t + 2)^2 of them for a tile of t x t outputs and a pair of channels,
where the definition takes 9 t^2. Transforming the weights costs about as much as `_WEIGHTS_AS_TILES` more tiles; it
makes small tiles better for few of them. The constants were found by timing some 80 shapes with 1 and 2 threads.
"""

from __future__ import annotations

import os

from ...errors import unknown_choice

Pair = tuple[int, int]

ALGORITHMS = {"direct": 0, "winograd-2x2": 2, "winograd-4x4": 4}
"""The sides of the tiles of outputs; 0 for the definition."""

VARIABLE = "TINYGRAD_BN_CONVOLUTION"

_FEWEST_CHANNELS = 8
_FEWEST_PRODUCTS = 1 << 20
_WEIGHTS_AS_TILES = 8


def chosen_algorithm() -> str | None:
    """Return the algorithm that the environment asks for, if any.

    Raises:
        ArgumentError: there is no such algorithm.
    """
    name = os.environ.get(VARIABLE) or None
    if name is not None and name not in ALGORITHMS:
        raise unknown_choice(VARIABLE, "the algorithm of convolutions", name, tuple(ALGORITHMS))
    return name


def winograd_tile(
    algorithm: str | None,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    channels: Pair,
    images: int,
    out_size: Pair,
) -> int:
    """Return the side of Winograd's tiles for a convolution, or 0 where it should be computed by its definition.

    Args:
        algorithm: a name from `ALGORITHMS`, or None for the fastest. Only 3x3 kernels without stride and dilation
            have another algorithm than the direct one.
        channels: of the input and of the output, in any order.
        out_size: of the correlation: the input's size for the input's gradient.
    """
    if (kernel, stride, dilation) != ((3, 3), (1, 1), (1, 1)):
        return 0
    if algorithm is not None:
        return ALGORITHMS[algorithm]
    products = 9 * channels[0] * channels[1] * images * out_size[0] * out_size[1]
    if min(channels) < _FEWEST_CHANNELS or products < _FEWEST_PRODUCTS:
        return 0
    return min((4, 2), key=lambda tile: (tile + 2) ** 2 * (_tiles(images, out_size, tile) + _WEIGHTS_AS_TILES))


def _tiles(images: int, size: Pair, tile: int) -> int:
    return images * -(-size[0] // tile) * -(-size[1] // tile)
