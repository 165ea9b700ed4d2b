"""Optimiser updates of many parameters in one pass."""

from __future__ import annotations

from ..reference import Kernels


class UpdateOverrides(Kernels):
    """Optimiser updates of many parameters in one pass."""
