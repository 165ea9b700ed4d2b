"""Pooling both ways, each input and output touched once."""

from __future__ import annotations

from ..reference import Kernels


class PoolingOverrides(Kernels):
    """Pooling both ways, each input and output touched once."""
