"""How smooth the loss is along a gradient step.

Santurkar, Tsipras, Ilyas & Madry, "How Does Batch Normalization Help Optimization?", NeurIPS 2018, section 3.1 and
figure 4: from the weights w with the gradient g of one batch's loss L, look at w - eta g for a range of steps eta.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ... import nn
from ...checks import as_number
from ...errors import ArgumentError, StateError, explain
from ...tensor import Tensor
from .norms import norms
from .objective import Array, LossFunction, Objective, gradient_of

MULTIPLES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
"""Steps that are looked at, as multiples of the learning rate."""


@dataclass(frozen=True)
class Landscape:
    """The loss of one batch along its own gradient step; no entry is a statistic over batches.

    Attributes:
        loss: L(w).
        gradient_norm: ||g||, g the gradient of L at w.
        step_sizes: the values of eta.
        losses: L(w - eta g) for each.
        gradient_changes: ||grad L(w - eta g) - g|| for each ("gradient predictiveness").
    """

    loss: float
    gradient_norm: float
    step_sizes: tuple[float, ...]
    losses: tuple[float, ...]
    gradient_changes: tuple[float, ...]

    @property
    def loss_range(self) -> tuple[float, float]:
        """The lowest and the highest loss among the steps (the envelope); nan where one is nan."""
        return float(np.min(self.losses)), float(np.max(self.losses))

    @property
    def gradient_change_range(self) -> tuple[float, float]:
        """The smallest and the largest change of the gradient among the steps; nan where one is nan."""
        return float(np.min(self.gradient_changes)), float(np.max(self.gradient_changes))

    @property
    def smoothness(self) -> float:
        """The "effective beta-smoothness": the largest ||grad L(w - eta g) - g|| / ||eta g||; nan where g is 0."""
        if self.gradient_norm == 0.0:
            return math.nan
        with np.errstate(all="ignore"):
            distances = np.multiply(self.step_sizes, self.gradient_norm)
            return float(np.max(np.divide(self.gradient_changes, distances)))

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes for a JSON file; `from_dict` makes the same landscape of them.

        >>> found = Landscape(1.0, 2.0, (0.5,), (0.25,), (3.0,))
        >>> found.smoothness, Landscape.from_dict(found.to_dict()) == found
        (3.0, True)
        """
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Landscape:
        """Read what `to_dict` returned; null, as JSON files hold what is no number, becomes nan.

        Raises:
            StateError: an entry is missing, unknown, or no number.
        """
        names = [field.name for field in fields(cls)]
        try:
            if set(content) != set(names):
                raise ValueError(f"entries {sorted(content)}")
            return cls(**{name: _numbers(content[name]) for name in names})
        except (TypeError, ValueError) as error:
            raise StateError(explain("Landscape.from_dict", f"numbers for {', '.join(names)}", str(error))) from error


def landscape(
    model: nn.Module,
    loss_function: LossFunction,
    images: Tensor,
    labels: Tensor,
    learning_rate: float,
    multiples: Sequence[float] = MULTIPLES,
) -> Landscape:
    """Measure the loss and its gradient along the gradient step from the model's weights, all on one batch.

    BatchNorm uses the batch's statistics, as in training. The step is that of plain gradient descent: no momentum, no
    weight decay. The model, its gradients, running statistics, mode and hooks and the default generator are
    afterwards bit for bit as before. Costs one forward and backward pass per step size, and one more.

    Args:
        model: the network; what it is trained with requires a gradient.
        loss_function: of the network's output and the labels, such as `functional.cross_entropy`; returns one number.
        images, labels: the batch, on the model's device.
        learning_rate: the step of training at this moment.
        multiples: the steps to look at, as multiples of it. By default 1/2 to 4 times.

    Raises:
        ArgumentError, DTypeError, ShapeError: a step is not positive, there is none, or an argument does not fit.
    """
    learning_rate = as_number("landscape", "learning_rate", learning_rate, above=0.0)
    factors = [as_number("landscape", "each multiple", factor, above=0.0) for factor in multiples]
    if not factors:
        raise ArgumentError(explain("landscape", "at least one multiple of the learning rate", "none"))
    objective = Objective("landscape", model, loss_function, images, labels)
    weights = [parameter.data for parameter in objective.parameters]
    loss, gradient = _loss_and_gradient(objective, weights)
    step_sizes = tuple(factor * learning_rate for factor in factors)
    losses, changes = [], []
    for step in step_sizes:
        with np.errstate(all="ignore"):
            moved = [weight - step * part for weight, part in zip(weights, gradient, strict=True)]
            there, gradient_there = _loss_and_gradient(objective, moved)
            differences = [new - old for new, old in zip(gradient_there, gradient, strict=True)]
        losses.append(there)
        changes.append(_joint_norm(objective, differences))
    return Landscape(loss, _joint_norm(objective, gradient), step_sizes, tuple(losses), tuple(changes))


def _loss_and_gradient(objective: Objective, weights: Sequence[Array]) -> tuple[float, list[Array]]:
    with objective.at(weights) as (loss, leaves):
        return float(loss.item()), [part.data for part in gradient_of(loss, leaves)]


def _joint_norm(objective: Objective, arrays: Sequence[Array]) -> float:
    return float(np.linalg.norm(norms(arrays, objective.device)))


def _numbers(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_numbers(part) for part in value)
    return math.nan if value is None else float(value)
