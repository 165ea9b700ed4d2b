"""Convolution, by the algorithm that suits the shape."""

from __future__ import annotations

from ..reference import Kernels


class ConvolutionOverrides(Kernels):
    """Convolution, by the algorithm that suits the shape."""
