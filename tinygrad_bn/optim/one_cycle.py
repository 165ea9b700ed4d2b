"""The one-cycle schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..checks import as_index, as_number
from ..errors import ArgumentError, explain, unknown_choice
from .optimizer import Group, Optimizer
from .schedule import LRScheduler, check_optimizer


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down to almost nothing, the momentum the other way (Smith & Topin 2017).

    Args:
        optimizer: whose learning rates, and momenta or first betas, are set.
        max_lr: the highest learning rate, for all groups or one for each.
        total_steps: steps of the whole cycle; a call of `step()` after each of them is fine, one more is an error.
        pct_start: share of the steps that go up, in (0, 1).
        anneal_strategy: "cos" or "linear".
        cycle_momentum: also move the momentum, from `max_momentum` down to `base_momentum` and back.
        base_momentum, max_momentum: its limits.
        div_factor: the cycle begins at max_lr / div_factor,
        final_div_factor: and ends at that divided by this.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        where = "OneCycleLR"
        groups = check_optimizer(where, optimizer).param_groups
        highest = list(max_lr) if isinstance(max_lr, Sequence) else [max_lr] * len(groups)
        if len(highest) != len(groups):
            raise ArgumentError(explain(where, f"{len(groups)} values of max_lr, one per group", str(len(highest))))
        highest = [as_number(where, "max_lr", rate, above=0.0) for rate in highest]
        self.total_steps = as_index(where, "total_steps", total_steps, 2)
        pct_start = as_number(where, "pct_start", pct_start, above=0.0, below=1.0)
        self.div_factor = as_number(where, "div_factor", div_factor, above=0.0)
        self.final_div_factor = as_number(where, "final_div_factor", final_div_factor, above=0.0)
        if anneal_strategy not in ("cos", "linear"):
            raise unknown_choice(where, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        if cycle_momentum:
            base_momentum = as_number(where, "base_momentum", base_momentum, at_least=0.0, below=1.0)
            max_momentum = as_number(where, "max_momentum", max_momentum, at_least=0.0, below=1.0)
            if any("betas" not in group and not group.get("momentum") for group in groups):
                raise ArgumentError(
                    explain(where, "an optimiser with momentum or betas", "none", "or pass cycle_momentum=False")
                )
        self.anneal_strategy = anneal_strategy
        self.momenta = (base_momentum, max_momentum) if cycle_momentum else None
        self.top = pct_start * total_steps - 1
        for group, rate in zip(groups, highest, strict=True):
            group["initial_lr"] = rate / self.div_factor
        super().__init__(optimizer)

    def learning_rates(self, step: int) -> list[float]:
        """Return the learning rate of each group in a step, 0 .. total_steps - 1."""
        if step > self.total_steps:
            got = f"step {step}"
            raise ArgumentError(explain("OneCycleLR", f"at most {self.total_steps} steps (total_steps)", got))
        return [
            self._between(start, start * self.div_factor, start / self.final_div_factor, step)
            for start in self.base_lrs
        ]

    def _set(self, step: int) -> None:
        super()._set(step)
        if self.momenta is None:
            return
        low, high = self.momenta
        momentum = self._between(high, low, high, step)
        for group in self.optimizer.param_groups:
            _set_momentum(group, momentum)

    def _between(self, first: float, middle: float, last: float, step: int) -> float:
        """Return the value of a step on the curve from `first` over `middle`, at the top of the cycle, to `last`."""
        if step <= self.top:
            share = step / self.top if self.top else 1.0
            start, end = first, middle
        else:
            share = min(1.0, (step - self.top) / (self.total_steps - 1 - self.top))
            start, end = middle, last
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))


def _set_momentum(group: Group, momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
