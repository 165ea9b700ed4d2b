"""What happens inside a network, measured while it is evaluated and while it is trained."""

from __future__ import annotations

from .model import (
    ACTIVATION_OUTPUT,
    BLOCK_OUTPUT,
    LayerProbe,
    ModelProbe,
    Recorder,
    layers_of,
    mechanism,
    on_one_range,
)

__all__ = [
    "ACTIVATION_OUTPUT",
    "BLOCK_OUTPUT",
    "LayerProbe",
    "ModelProbe",
    "Recorder",
    "layers_of",
    "mechanism",
    "on_one_range",
]
