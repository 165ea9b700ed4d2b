"""Optimiser updates, in place: the one family of kernels that writes into its arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


class UpdateKernels:
    """Each method changes `parameter` and the optimiser's own buffers, and nothing else."""

    xp: Any

    def blend(self, target: Any, source: Any, weight: float) -> None:
        """target = (1 - weight) * target + weight * source."""
        target *= 1.0 - weight
        target += weight * source

    def sgd(
        self,
        parameter: Any,
        gradient: Any,
        velocity: Any | None,
        learning_rate: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        first_step: bool,
    ) -> None:
        """Stochastic gradient descent with momentum (Sutskever et al. 2013), in PyTorch's form."""
        step = gradient + weight_decay * parameter if weight_decay else gradient
        if velocity is not None:
            if first_step:
                velocity[...] = step
            else:
                velocity *= momentum
                velocity += (1.0 - dampening) * step
            step = step + momentum * velocity if nesterov else velocity
        parameter -= learning_rate * step

    def sgd_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        velocities: Sequence[Any] | None,
        learning_rate: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        first_step: bool,
    ) -> None:
        """`sgd` for each parameter of a list with at least one."""
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            velocity = None if velocities is None else velocities[i]
            self.sgd(
                parameter, gradient, velocity, learning_rate, momentum, dampening, weight_decay, nesterov, first_step
            )

    def adam(
        self,
        parameter: Any,
        gradient: Any,
        mean: Any,
        square: Any,
        step_count: int,
        learning_rate: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        """Adam (Kingma & Ba 2015); `decoupled` weight decay makes it AdamW (Loshchilov & Hutter 2019)."""
        if weight_decay and decoupled:
            parameter *= 1.0 - learning_rate * weight_decay
        elif weight_decay:
            gradient = gradient + weight_decay * parameter
        mean *= betas[0]
        mean += (1.0 - betas[0]) * gradient
        square *= betas[1]
        square += (1.0 - betas[1]) * (gradient * gradient)
        denominator = self.xp.sqrt(square)
        denominator *= 1.0 / math.sqrt(1.0 - betas[1] ** step_count)
        denominator += eps
        parameter -= (learning_rate / (1.0 - betas[0] ** step_count)) * (mean / denominator)

    def adam_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        means: Sequence[Any],
        squares: Sequence[Any],
        step_count: int,
        learning_rate: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        """`adam` for each parameter of a list with at least one."""
        for arrays in zip(parameters, gradients, means, squares, strict=True):
            self.adam(*arrays, step_count, learning_rate, betas, eps, weight_decay, decoupled)
