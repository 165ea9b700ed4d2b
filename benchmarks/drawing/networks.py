"""What every tool is given: the same networks, images and names, described without any framework."""

from __future__ import annotations

from typing import Any

import numpy as np

BATCH = 8
SHAPES = {"smallcnn": (1, 28, 28), "vgg16": (3, 32, 32), "watched": (1, 28, 28), "chain": (8,), "hostile": (1, 8, 8)}
"""Networks by name, with the shape of one example (channels first); "watched" is SmallCNN with dropout behind it."""

VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""How many convolutions of how many channels come before each pooling."""

BLOCKS = 250
"""Residual blocks of the chain; each is an addition and linear, tanh, linear."""

OPERATIONS = 4
"""Operations of one such block."""

HOSTILE = ('"><script>alert(1)</script>', 'x"><img src=q onerror=alert(2)>')
"""Names of layers and classes on which a page or DOT text may trip."""


def batch(name: str) -> Any:
    """Return a batch for a network: float32, shape (8, ...), the same numbers always."""
    return np.random.default_rng(1).standard_normal((BATCH, *SHAPES[name])).astype(np.float32)
