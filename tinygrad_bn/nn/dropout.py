"""Dropout."""

from __future__ import annotations

from .. import functional as F
from ..checks import check_probability
from ..functional.arguments import no_inplace
from ..tensor import Tensor
from .module import Module


class Dropout(Module):
    """In training, zero elements with probability p and divide the others by 1 - p; nothing in evaluation.

    Args:
        p: the probability, in [0, 1].
        inplace: must be False.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        no_inplace("Dropout", inplace)
        self.p = check_probability("Dropout", "p", p)

    def forward(self, input: Tensor) -> Tensor:
        """Return the input's shape."""
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"p={self.p}"
