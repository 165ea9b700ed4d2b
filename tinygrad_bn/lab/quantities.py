"""What a finished run can be asked for: one number each, with its name, unit and meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Quantity:
    """A number of a run's result.

    Attributes:
        key: lower case with underscores; names columns and files.
        title: for an axis, with the unit.
        read: takes `result.json`; None when the run does not have it.
    """

    key: str
    title: str
    read: Callable[[dict[str, Any]], float | None]

    def of(self, result: dict[str, Any]) -> float | None:
        """The number, or None."""
        return self.read(result)


def _entry(key: str) -> Callable[[dict[str, Any]], float | None]:
    return lambda result: result.get(key)


def _over_layers(key: str, combine: Callable[[Sequence[float]], float]) -> Callable[[dict[str, Any]], float | None]:
    def read(result: dict[str, Any]) -> float | None:
        values = [layer[key] for layer in result["layers"] if layer.get(key) is not None]
        return combine(values) if values else None

    return read


def mean(values: Sequence[float]) -> float:
    """The mean of numbers."""
    return math.fsum(values) / len(values)


ACCURACY = Quantity("test_accuracy", "test accuracy (%)", _entry("test_accuracy"))
PRECISE_ACCURACY = Quantity(
    "test_accuracy_precise", "test accuracy, precise statistics (%)", _entry("test_accuracy_precise")
)
TEST_LOSS = Quantity("test_loss", "test loss", _entry("test_loss"))
TRAIN_LOSS = Quantity("train_loss", "training loss", _entry("train_loss"))
SATURATION = Quantity("saturation", "saturation, mean over layers", _over_layers("saturation", mean))
HIGHEST_SATURATION = Quantity("highest_saturation", "saturation, highest layer", _over_layers("saturation", max))
SKEWNESS = Quantity("skewness", "|skewness|, mean over layers", _over_layers("skewness", mean))
SPARSITY = Quantity("sparsity", "sparsity, mean over blocks", _over_layers("sparsity", mean))
ZEROS = Quantity("zero_fraction", "exact zeros, mean over blocks", _over_layers("zero_fraction", mean))
GINI = Quantity("gini", "Gini coefficient, mean over blocks", _over_layers("gini", mean))
DEAD = Quantity("dead_channels", "dead channels", _over_layers("dead_channels", math.fsum))

QUANTITIES = (
    ACCURACY,
    PRECISE_ACCURACY,
    TEST_LOSS,
    TRAIN_LOSS,
    SATURATION,
    HIGHEST_SATURATION,
    SKEWNESS,
    SPARSITY,
    ZEROS,
    GINI,
    DEAD,
)
