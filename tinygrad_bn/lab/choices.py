"""The words that a config may use, read from where they mean something so that there is one list of each."""

from __future__ import annotations

from collections.abc import Sequence

from .. import data, functional, nn
from ..backend.precision import PRECISIONS
from . import recipes


def models() -> Sequence[str]:
    """Names of the networks."""
    return list(nn.MODELS)


def models_of_any_depth() -> Sequence[str]:
    """Names of the networks whose depth is a setting."""
    return list(nn.ANY_DEPTH)


def datasets() -> Sequence[str]:
    """Names of the data sets."""
    return list(data.LOADERS)


def initializations() -> Sequence[str]:
    """How weights are drawn."""
    return list(recipes.INITIALIZATIONS)


def augmentations() -> Sequence[str]:
    """Random changes of training images."""
    return list(recipes.AUGMENTATIONS)


def optimizers() -> Sequence[str]:
    """What takes the steps."""
    return list(recipes.OPTIMIZERS)


def schedules() -> Sequence[str]:
    """How the learning rate changes over the training."""
    return list(recipes.SCHEDULES)


def autocasts() -> Sequence[str]:
    """In what precision networks compute."""
    return list(recipes.AUTOCASTS)


def float32_matmul_precisions() -> Sequence[str]:
    """How precisely GPUs multiply float32 matrices."""
    return PRECISIONS


def activations() -> Sequence[str]:
    """Names of the activation functions."""
    return list(functional.ACTIVATIONS)


def orders() -> Sequence[str]:
    """Words for the order of weight, BatchNorm and activation."""
    return list(nn.ORDERS)
