"""Optimisers, learning-rate schedules and gradient clipping; PyTorch's names and formulas."""

from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Optimizer"]
