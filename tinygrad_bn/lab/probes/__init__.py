"""What happens inside a network, measured while it is evaluated and while it is trained."""

from __future__ import annotations

from .graph import GraphProbe
from .hessian import HessianEigenvalue, hessian_vector_product, top_hessian_eigenvalue
from .invariance import WeightLayer, weight_layers
from .landscape import Landscape, landscape
from .layers import LayerProbe, on_one_range
from .model import (
    ACTIVATION_OUTPUT,
    BLOCK_OUTPUT,
    ModelProbe,
    Recorder,
    layers_of,
    mechanism,
)
from .precise import Distance, Statistics, precise_statistics, running_distances, with_statistics
from .steps import StepProbe

__all__ = [
    "ACTIVATION_OUTPUT",
    "BLOCK_OUTPUT",
    "Distance",
    "GraphProbe",
    "HessianEigenvalue",
    "Landscape",
    "LayerProbe",
    "ModelProbe",
    "Recorder",
    "Statistics",
    "StepProbe",
    "WeightLayer",
    "hessian_vector_product",
    "landscape",
    "layers_of",
    "mechanism",
    "on_one_range",
    "precise_statistics",
    "running_distances",
    "top_hessian_eigenvalue",
    "weight_layers",
    "with_statistics",
]
