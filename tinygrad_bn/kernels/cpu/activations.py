"""Activation functions with vectorised transcendental functions."""

from __future__ import annotations

from ..reference import Kernels


class ActivationOverrides(Kernels):
    """Activation functions with vectorised transcendental functions."""
