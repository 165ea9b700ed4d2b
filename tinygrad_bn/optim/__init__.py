"""Optimisers, learning-rate schedules, gradient clipping and loss scaling; PyTorch's names and formulas."""

from .adam import Adam, AdamW
from .clipping import clip_grad_norm_, clip_grad_value_
from .grad_scaler import GradScaler
from .groups import parameter_groups
from .one_cycle import OneCycleLR
from .optimizer import Optimizer
from .schedule import CosineAnnealingLR, LambdaLR, LinearLR, LRScheduler, MultiStepLR, StepLR
from .sequential import SequentialLR
from .sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "GradScaler",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "Optimizer",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "parameter_groups",
]
