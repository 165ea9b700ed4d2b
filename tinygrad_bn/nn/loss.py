"""Losses as modules."""

from __future__ import annotations

from .. import functional as F
from ..checks import check_probability
from ..errors import unknown_choice
from ..functional.arguments import REDUCTIONS
from ..tensor import Tensor
from .module import Module


class CrossEntropyLoss(Module):
    """The cross-entropy between logits (N, C, ...) and class indices or probabilities; see `functional.cross_entropy`.

    Args:
        weight: (C,), a weight per class.
        ignore_index: a class index that counts nothing.
        reduction: "none", "sum" or "mean".
        label_smoothing: in [0, 1].
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = _checked("CrossEntropyLoss", reduction)
        self.label_smoothing = check_probability("CrossEntropyLoss", "label_smoothing", label_smoothing)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class MSELoss(Module):
    """The squared differences of two tensors of one shape; see `functional.mse_loss`.

    Args:
        reduction: "none", "sum" or "mean".
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = _checked("MSELoss", reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return F.mse_loss(input, target, reduction=self.reduction)


def _checked(where: str, reduction: str) -> str:
    if reduction not in REDUCTIONS:
        raise unknown_choice(where, "reduction", reduction, REDUCTIONS)
    return reduction
