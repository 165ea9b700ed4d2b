"""Optimiser updates, in place: the one family of kernels that writes into its arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ...backend import recording
from ...errors import CaptureError, explain
from ..settings import AdamSettings, SgdSettings, Skip


class UpdateKernels:
    """Each method changes the parameters and the optimiser's own buffers, and nothing else.

    The numbers of a step come from `settings`, which is called once. While a step is captured it is called again before
    each replay, for that step's numbers (`backend.fed`): what happens must follow from the device's copy of them.
    """

    xp: Any

    def laid_out(self, parameter: Any) -> Any:
        """Return a parameter, or a copy, in the memory order in which the kernels read it without copying."""
        return parameter

    def blend(self, target: Any, source: Any, weight: float) -> None:
        """target = (1 - weight) * target + weight * source."""
        target *= 1.0 - weight
        target += weight * source

    def count_step(self, skip: Skip) -> None:
        """Count a step as taken unless it is skipped; goes before the update of that step."""
        taken = skip.taken
        taken += ~skip.flag

    def unscale_all(self, gradients: Sequence[Any], scale: Any) -> Any:
        """Divide gradients by a scale, float32 without axes, in place; return whether any was infinite or NaN.

        Args:
            gradients: at least one, each memory once.

        Returns:
            A new bool array without axes.
        """
        inverse = (1.0 / scale.astype("float64")).astype("float32")
        overflowed = self.xp.zeros((), dtype=bool)
        for gradient in gradients:
            overflowed |= ~self.xp.isfinite(gradient).all()
            gradient *= inverse
        return overflowed

    def adapt_scale(
        self,
        scale: Any,
        streak: Any,
        overflowed: Any,
        growth_factor: float,
        backoff_factor: float,
        growth_interval: int,
    ) -> None:
        """Change the scale of a loss after a step, in place (Micikevicius et al. 2018, in PyTorch's form).

        A step that has overflowed makes it smaller; so many in a row that have not make it larger, unless it would be
        infinite.

        Args:
            scale: float32 without axes.
            streak: how many steps in a row have not overflowed, int32 without axes.
            overflowed: whether this one has, bool without axes.
        """
        xp, longer = self.xp, streak + 1
        is_full, larger = longer == growth_interval, scale * growth_factor
        grown = xp.where(is_full & xp.isfinite(larger), larger, scale)
        scale[...] = xp.where(overflowed, scale * backoff_factor, grown)
        streak[...] = xp.where(overflowed | is_full, 0, longer)

    def sgd(
        self, parameter: Any, gradient: Any, velocity: Any | None, settings: SgdSettings, skip: Skip | None = None
    ) -> None:
        """Stochastic gradient descent with momentum (Sutskever et al. 2013), in PyTorch's form."""
        rate, momentum, dampening, weight_decay, nesterov, first_step = settings
        before = self._before(skip, parameter, velocity)
        step = gradient + weight_decay * parameter if weight_decay else gradient
        if velocity is not None:
            if skip is not None:
                velocity[...] = self.xp.where(skip.taken == 1, step, momentum * velocity + (1.0 - dampening) * step)
            elif first_step:
                velocity[...] = step
            else:
                velocity *= momentum
                velocity += (1.0 - dampening) * step
            step = step + momentum * velocity if nesterov else velocity
        parameter -= rate * step
        self._restore(before)

    def sgd_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        velocities: Sequence[Any] | None,
        settings: Callable[[], SgdSettings],
        skip: Skip | None = None,
    ) -> None:
        """`sgd` for each parameter of a list with at least one."""
        now = _numbers_of("sgd_all", settings)
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            self.sgd(parameter, gradient, None if velocities is None else velocities[i], now, skip)

    def adam(
        self,
        parameter: Any,
        gradient: Any,
        mean: Any,
        square: Any,
        settings: AdamSettings,
        skip: Skip | None = None,
    ) -> None:
        """Adam (Kingma & Ba 2015); `decoupled` weight decay makes it AdamW (Loshchilov & Hutter 2019)."""
        step_count, learning_rate, betas, eps, weight_decay, decoupled = settings
        before = self._before(skip, parameter, mean, square)
        if skip is None:
            correction: Any = 1.0 / math.sqrt(1.0 - betas[1] ** step_count)
            rate: Any = learning_rate / (1.0 - betas[0] ** step_count)
        else:
            taken = skip.taken.astype("float64")
            correction = ((1.0 - betas[1] ** taken) ** -0.5).astype(parameter.dtype)
            rate = (learning_rate / (1.0 - betas[0] ** taken)).astype(parameter.dtype)
        if weight_decay and decoupled:
            parameter *= 1.0 - learning_rate * weight_decay
        elif weight_decay:
            gradient = gradient + weight_decay * parameter
        mean *= betas[0]
        mean += (1.0 - betas[0]) * gradient
        square *= betas[1]
        square += (1.0 - betas[1]) * (gradient * gradient)
        denominator = self.xp.sqrt(square)
        denominator *= correction
        denominator += eps
        parameter -= rate * (mean / denominator)
        self._restore(before)

    def adam_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        means: Sequence[Any],
        squares: Sequence[Any],
        settings: Callable[[], AdamSettings],
        skip: Skip | None = None,
    ) -> None:
        """`adam` for each parameter of a list with at least one."""
        now = _numbers_of("adam_all", settings)
        for arrays in zip(parameters, gradients, means, squares, strict=True):
            self.adam(*arrays, now, skip)

    def _before(self, skip: Skip | None, *arrays: Any) -> list[tuple[Any, Any, Any]]:
        """Return (flag, array, a copy of it) for what a step changes, if it may be skipped."""
        return [] if skip is None else [(skip.flag, array, array.copy()) for array in arrays if array is not None]

    def _restore(self, before: list[tuple[Any, Any, Any]]) -> None:
        for flag, array, values in before:
            array[...] = self.xp.where(flag, values, array)


def _numbers_of(where: str, settings: Callable[[], Any]) -> Any:
    """Return a step's numbers, to be used by kernels as constants.

    Raises:
        CaptureError: a step is being recorded, which would be repeated with these very numbers.
    """
    if recording() is not None:
        expected = "parameters of one floating-point dtype, without gaps in memory, for a kernel that reads its numbers"
        raise CaptureError(explain(where, expected, "others", "give the optimiser a group for each dtype"))
    return settings()
