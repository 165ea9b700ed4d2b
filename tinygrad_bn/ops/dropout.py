"""Dropout: multiply by a random mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Op


class Dropout(Op):
    """Zero elements at random and scale the others up, so that the expected value stays (Srivastava et al. 2014).

    Args:
        mask: 0 or 1 / (1 - p) per element, on the input's device.
    """

    name = "dropout"

    def __init__(self, mask: Any) -> None:
        self.kept = mask

    def forward(self, kernels: Any, x: Any) -> Any:
        return kernels.multiply(x, self.kept)

    def backward(self, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        return (grad * grad.wrap(self.kept),)
