"""The numbers of one optimiser step, as optimisers hand them to the kernels."""

from __future__ import annotations

from typing import Any, NamedTuple


class SgdSettings(NamedTuple):
    """Stochastic gradient descent in one step; `first_step`: the velocity is not there yet."""

    learning_rate: float
    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool
    first_step: bool


class AdamSettings(NamedTuple):
    """Adam in one step; `step_count`: its number, 1 in the first; `decoupled`: weight decay as in AdamW."""

    step_count: int
    learning_rate: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    decoupled: bool


class Skip(NamedTuple):
    """What only the device knows: whether this step is skipped, and how many were not.

    Attributes:
        flag: a bool array without axes: the step shall change nothing.
        taken: an int64 array without axes: how many steps these parameters have taken, this one included unless it is
            skipped. It stands in for `step_count`, and 1 for `first_step`.
    """

    flag: Any
    taken: Any
