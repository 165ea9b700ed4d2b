"""Kernels that an emulated GPU can record without compiling anything: the reference, but for what cannot be recorded.

Numbers of an optimiser's step come from the device's memory, as in the real kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_bn.backend import Device, fed
from tinygrad_bn.kernels import AdamSettings, SgdSettings, Skip
from tinygrad_bn.kernels.cuda.indexing import IndexingOverrides


class _WithoutCublas:
    def __init__(self, xp: Any) -> None:
        self._xp = xp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xp, name)

    @staticmethod
    def matmul(a: Any, b: Any) -> Any:
        products = a[..., :, None] * (b if a.ndim == 1 else b[..., None, :, :])
        return products.sum(axis=-2)


class CapturableKernels(IndexingOverrides):
    """All kernels of a device."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.xp = _WithoutCublas(device.xp)

    def sgd_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        velocities: Sequence[Any] | None,
        settings: Callable[[], SgdSettings],
        skip: Skip | None = None,
    ) -> None:
        rate, momentum, kept, weight_decay, moving, nesterov = self._numbers(
            lambda: (
                (now := settings()).learning_rate,
                now.momentum,
                1.0 if now.first_step else 1.0 - now.dampening,
                now.weight_decay,
                0.0 if now.first_step else now.momentum,
                now.nesterov,
            )
        )
        for number, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            step = gradient + weight_decay * parameter
            if velocities is not None:
                velocity = velocities[number]
                velocity *= moving
                velocity += kept * step
                step = velocity * (1.0 - nesterov) + (step + momentum * velocity) * nesterov
            parameter -= rate * step

    def adam_all(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        means: Sequence[Any],
        squares: Sequence[Any],
        settings: Callable[[], AdamSettings],
        skip: Skip | None = None,
    ) -> None:
        rate, correction, first, second, eps, weight_decay, shrinking = self._numbers(
            lambda: (
                (now := settings()).learning_rate / (1.0 - now.betas[0] ** now.step_count),
                (1.0 - now.betas[1] ** now.step_count) ** -0.5,
                *now.betas,
                now.eps,
                0.0 if now.decoupled else now.weight_decay,
                1.0 - now.learning_rate * now.weight_decay if now.decoupled else 1.0,
            )
        )
        for parameter, gradient, mean, square in zip(parameters, gradients, means, squares, strict=True):
            parameter *= shrinking
            step = gradient + weight_decay * parameter
            mean *= first
            mean += (1.0 - first) * step
            square *= second
            square += (1.0 - second) * (step * step)
            parameter -= rate * (mean / (self.xp.sqrt(square) * correction + eps))

    def _numbers(self, numbers: Callable[[], tuple[float, ...]]) -> list[Any]:
        array = fed(self.device, lambda: np.array(numbers(), np.float32))
        return [array[number] for number in range(array.size)]
