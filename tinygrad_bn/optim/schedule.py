"""Learning-rate schedules: each sets "lr" in the groups of an optimiser, step by step.

All follow PyTorch: making a schedule sets the learning rates of step 0, and each `step()` those of the next one. Here
each learning rate is computed from the number of the step alone, not from the one before, so that it is exact after any
number of steps, and a state needs nothing but that number.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..backend import each_time
from ..checks import as_index, as_number
from ..errors import ArgumentError, DTypeError, StateError, explain
from .optimizer import Optimizer


class LRScheduler:
    """The base of all schedules.

    Args:
        optimizer: whose groups get the learning rates.

    Attributes:
        base_lrs: each group's learning rate when the schedule was made.
        last_epoch: the number of the current step, 0 at first. (PyTorch's name: a step may be an epoch or a batch.)
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = check_optimizer(type(self).__name__, optimizer)
        # A second schedule on the same optimiser starts from the same learning rates as the first one.
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._set(0)

    def factor(self, step: int) -> float:
        """Return the learning rate of a step as a multiple of the base one."""
        raise DTypeError(explain(type(self).__name__, "a subclass that defines factor", "none"))

    def learning_rates(self, step: int) -> list[float]:
        """Return the learning rate of each group in a step."""
        return [base * self.factor(step) for base in self.base_lrs]

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group that is in force."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Go on to the next step; call it after `optimizer.step()`. In a captured step, so does each replay."""
        each_time(lambda: self._go_to(self.last_epoch + 1))

    def _go_to(self, step: int) -> None:
        self._set(step)
        self.last_epoch = step

    def _set(self, step: int) -> None:
        if len(self.base_lrs) != len(self.optimizer.param_groups):
            raise StateError(
                explain(
                    type(self).__name__,
                    f"the {len(self.base_lrs)} groups that were there when the schedule was made",
                    f"{len(self.optimizer.param_groups)} groups",
                    "add groups before making a schedule",
                )
            )
        for group, rate in zip(self.optimizer.param_groups, self.learning_rates(step), strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue: plain Python values."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned; sets the learning rates.

        Raises:
            StateError: it does not fit; nothing was changed.
        """
        parts = [(part, part.base_lrs, part.last_epoch) for part in self._with_parts()]
        settings = [dict(group) for group in self.optimizer.param_groups]
        try:
            self._load(f"{type(self).__name__}.load_state_dict", state_dict)
        except BaseException as error:
            # A state can turn out not to fit as late as when the learning rates of its step are asked for.
            for part, rates, step in parts:
                part.base_lrs, part.last_epoch = rates, step
            for group, values in zip(self.optimizer.param_groups, settings, strict=True):
                group.update(values)
            if isinstance(error, ArgumentError | DTypeError):
                raise StateError(str(error)) from error
            raise

    def _with_parts(self) -> list[LRScheduler]:
        """Return this schedule and those it consists of."""
        return [self]

    def _load(self, where: str, state_dict: Mapping[str, Any]) -> None:
        if not isinstance(state_dict, Mapping) or {"last_epoch", "base_lrs"} - set(state_dict):
            raise StateError(explain(where, "a mapping with 'last_epoch' and 'base_lrs'", repr(state_dict)[:80]))
        rates = state_dict["base_lrs"]
        if not isinstance(rates, Sequence) or len(rates) != len(self.base_lrs):
            got = f"of {len(rates)}" if isinstance(rates, Sequence) else repr(rates)
            raise StateError(explain(where, f"learning rates of {len(self.base_lrs)} groups", got))
        self.base_lrs = [as_number(where, "each of base_lrs", rate, at_least=0.0) for rate in rates]
        self._go_to(as_index(where, "last_epoch", state_dict["last_epoch"], 0))


class LambdaLR(LRScheduler):
    """The base learning rate times any function of the step.

    Args:
        optimizer: whose learning rates are set.
        lr_lambda: takes the step's number, returns the factor; or one such function for each group.
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        groups = len(check_optimizer("LambdaLR", optimizer).param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, Sequence) else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups:
            raise ArgumentError(explain("LambdaLR", f"{groups} functions, one per group", f"{len(self.lr_lambdas)}"))
        super().__init__(optimizer)

    def learning_rates(self, step: int) -> list[float]:
        """Return the learning rate of each group in a step."""
        return [base * f(step) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """Multiply by gamma every `step_size` steps.

    Args:
        optimizer: whose learning rates are set.
        step_size: steps between two changes.
        gamma: the factor.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = as_index("StepLR", "step_size", step_size, 1)
        self.gamma = as_number("StepLR", "gamma", gamma, above=0.0)
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """Return gamma ^ floor(step / step_size)."""
        return float(self.gamma ** (step // self.step_size))


class MultiStepLR(LRScheduler):
    """Multiply by gamma at given steps (He et al. 2015 and Kim et al. 2023: twice, by 0.1).

    Args:
        optimizer: whose learning rates are set.
        milestones: the steps.
        gamma: the factor.
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(as_index("MultiStepLR", "each milestone", m, 0) for m in milestones)
        self.gamma = as_number("MultiStepLR", "gamma", gamma, above=0.0)
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """Return gamma ^ (number of milestones that are reached)."""
        return float(self.gamma ** bisect.bisect_right(self.milestones, step))


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the base learning rate to `eta_min` (Loshchilov & Hutter 2017), and then up again.

    Args:
        optimizer: whose learning rates are set.
        T_max: steps from the top to the bottom.
        eta_min: the learning rate at the bottom.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = as_index("CosineAnnealingLR", "T_max", T_max, 1)
        self.eta_min = as_number("CosineAnnealingLR", "eta_min", eta_min, at_least=0.0)
        super().__init__(optimizer)

    def learning_rates(self, step: int) -> list[float]:
        """Return eta_min + (base - eta_min) * (1 + cos(pi * step / T_max)) / 2."""
        share = 0.5 * (1.0 + math.cos(math.pi * step / self.T_max))
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class LinearLR(LRScheduler):
    """A factor that goes in a straight line from `start_factor` to `end_factor`, and stays there: a warm-up.

    Args:
        optimizer: whose learning rates are set.
        start_factor: in step 0, in (0, 1].
        end_factor: from step `total_iters` on, in [0, 1].
        total_iters: steps in between.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor = as_number("LinearLR", "start_factor", start_factor, above=0.0, at_most=1.0)
        self.end_factor = as_number("LinearLR", "end_factor", end_factor, at_least=0.0, at_most=1.0)
        self.total_iters = as_index("LinearLR", "total_iters", total_iters, 1)
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """Return the factor of a step."""
        share = min(step, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share


def check_optimizer(where: str, optimizer: Any) -> Optimizer:
    """Return an optimiser after checking that it is one."""
    if not isinstance(optimizer, Optimizer):
        raise DTypeError(explain(where, "an Optimizer", type(optimizer).__name__))
    return optimizer
