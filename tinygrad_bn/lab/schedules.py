"""How the learning rate changes over a training, by the word that a config uses."""

from __future__ import annotations

from collections.abc import Callable

from .. import optim


def constant(optimizer: optim.Optimizer, steps: int) -> optim.LRScheduler:
    """The same learning rate in every step."""
    return optim.LambdaLR(optimizer, lambda step: 1.0)


def cosine(optimizer: optim.Optimizer, steps: int) -> optim.LRScheduler:
    """Half a cosine from the learning rate to 0."""
    return optim.CosineAnnealingLR(optimizer, T_max=steps)


def two_drops(optimizer: optim.Optimizer, steps: int) -> optim.LRScheduler:
    """A tenth after half of the training and again after three quarters, as in Kim, Kim & Kim (NeurIPS 2023)."""
    return optim.MultiStepLR(optimizer, milestones=[steps // 2, steps * 3 // 4])


#: Name on the command line -> what makes the schedule for an optimiser and a number of steps.
SCHEDULES: dict[str, Callable[[optim.Optimizer, int], optim.LRScheduler]] = {
    schedule.__name__: schedule for schedule in (constant, cosine, two_drops)
}
