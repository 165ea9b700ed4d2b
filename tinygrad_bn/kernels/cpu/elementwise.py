"""Elementwise arithmetic and matrix products into memory from the pool."""

from __future__ import annotations

from ..reference import Kernels


class ElementwiseOverrides(Kernels):
    """Elementwise arithmetic and matrix products into memory from the pool."""
