"""Captured steps: a training step that is recorded once and then repeated, on a GPU as one CUDA graph."""

from .step import CapturedStep, GraphInfo, capture

__all__ = ["CapturedStep", "GraphInfo", "capture"]
