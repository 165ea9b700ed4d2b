"""One schedule after another."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import as_index
from ..errors import ArgumentError, StateError, explain
from .optimizer import Optimizer
from .schedule import LRScheduler


class SequentialLR(LRScheduler):
    """One schedule after another: each begins with its own step 0 at its milestone.

    Args:
        optimizer: whose learning rates are set.
        schedulers: made on that same optimiser.
        milestones: the step at which the second, third, ... begins.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        where = "SequentialLR"
        self.schedulers = list(schedulers)
        self.milestones = [as_index(where, "each milestone", m, 1) for m in milestones]
        if not self.schedulers or len(self.milestones) != len(self.schedulers) - 1:
            raise ArgumentError(
                explain(
                    where,
                    "one milestone fewer than schedulers",
                    f"{len(self.milestones)} and {len(self.schedulers)}",
                )
            )
        if sorted(set(self.milestones)) != self.milestones:
            raise ArgumentError(explain(where, "milestones that grow", str(self.milestones)))
        for scheduler in self.schedulers:
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(explain(where, "schedulers of the given optimizer", "one of another optimizer"))
        super().__init__(optimizer)

    def _set(self, step: int) -> None:
        position = bisect.bisect_right(self.milestones, step)
        begin = self.milestones[position - 1] if position else 0
        self.schedulers[position]._go_to(step - begin)

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue, the parts' states included."""
        return {**super().state_dict(), "schedulers": [part.state_dict() for part in self.schedulers]}

    def _with_parts(self) -> list[LRScheduler]:
        return [self, *(inner for part in self.schedulers for inner in part._with_parts())]

    def _load(self, where: str, state_dict: Mapping[str, Any]) -> None:
        parts = state_dict.get("schedulers", ()) if isinstance(state_dict, Mapping) else ()
        if not isinstance(parts, Sequence) or len(parts) != len(self.schedulers):
            got = f"of {len(parts)}" if isinstance(parts, Sequence) else repr(parts)[:80]
            raise StateError(explain(where, f"states of {len(self.schedulers)} schedulers", got))
        for scheduler, part in zip(self.schedulers, parts, strict=True):
            scheduler._load(where, part)
        super()._load(where, state_dict)
