"""Batch normalisation layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from .. import functional as F
from ..backend.capturing import refuse_reading
from ..checks import as_index, as_number
from ..creation import ones, zeros
from ..errors import ShapeError, explain
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class _BatchNorm(Module):
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    dimensions: ClassVar[tuple[int, ...]]
    shapes: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.num_features = as_index(where, "num_features", num_features, 1)
        self.eps = as_number(where, "eps", eps, above=0.0)
        self.momentum = None if momentum is None else as_number(where, "momentum", momentum, at_least=0.0, at_most=1.0)
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.register_parameter("weight", Parameter(ones(self.num_features)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(self.num_features)) if affine else None)
        self.register_buffer("running_mean", zeros(self.num_features) if track_running_stats else None)
        self.register_buffer("running_var", ones(self.num_features) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype="int64") if track_running_stats else None)

    def reset_running_stats(self) -> None:
        """Start the running averages again: mean 0, variance 1, no batch seen."""
        for buffer, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                buffer.assign_(value)

    def reset_parameters(self) -> None:
        """Start the running averages again, and set the scale to 1 and the shift to 0."""
        self.reset_running_stats()
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, in its shape; in training, move the running averages."""
        return self._run(F.batch_norm, input)

    def forward_with_activation(self, input: Tensor, order: str, activation: str, parameters: dict[str, Any]) -> Tensor:
        """Do what `forward` does, and an activation before or after it, as one operation.

        Args:
            input: as of `forward`.
            order, activation, parameters: as of `functional.norm_act`.
        """
        return self._run(partial(F.norm_act, order=order, activation=activation, **parameters), input)

    def _run(self, function: Callable[..., Tensor], input: Tensor) -> Tensor:
        self._check(input)
        if not self.training and self.running_mean is not None:
            return function(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        if not self.training or self.num_batches_tracked is None:
            return function(input, None, None, self.weight, self.bias, training=True, eps=self.eps)
        momentum = self.momentum
        if momentum is None:
            refuse_reading("the number of batches", "give the layer a momentum")
            momentum = 1.0 / (int(self.num_batches_tracked.item()) + 1)
        return function(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=True,
            momentum=momentum,
            eps=self.eps,
            num_batches_tracked=self.num_batches_tracked,
        )

    def _check(self, input: Tensor) -> None:
        where = type(self).__name__
        if not isinstance(input, Tensor):
            return  # functional.batch_norm says what is wrong
        if input.ndim not in self.dimensions:
            raise ShapeError(explain(where, f"input {self.shapes}", f"shape {input.shape}"))
        if input.shape[1] != self.num_features:
            raise ShapeError(explain(where, f"input of {self.num_features} channels (axis 1)", f"shape {input.shape}"))

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L) over all axes but axis 1 (Ioffe & Szegedy 2015).

    In training it normalises with the batch's own mean and biased variance and moves the running averages, the unbiased
    variance among them; in evaluation it normalises with the running averages.

    Args:
        num_features: the number of channels C.
        eps: added to the variance, inside the root.
        momentum: weight of the new value in the running averages (PyTorch's meaning); None averages over all batches.
        affine: whether to train a scale `weight`, starting at 1, and a shift `bias`, starting at 0.
        track_running_stats: False keeps no running averages: evaluation, too, uses the batch's statistics.

    `num_batches_tracked` counts the training batches. The running averages are float32 or wider.
    """

    dimensions = (2, 3)
    shapes = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W); everything as in `BatchNorm1d`."""

    dimensions = (4,)
    shapes = "(N, C, H, W)"
