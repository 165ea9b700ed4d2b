"""Batch normalisation, alone and joined with an activation, in two passes each way."""

from __future__ import annotations

from ..reference import Kernels


class BatchNormOverrides(Kernels):
    """Batch normalisation, alone and joined with an activation, in two passes each way."""
