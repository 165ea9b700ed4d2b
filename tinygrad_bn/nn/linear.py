"""The fully connected layer."""

from __future__ import annotations

from .. import functional as F
from ..checks import as_index
from ..creation import zeros
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """input @ weight^T + bias: (..., in_features) -> (..., out_features).

    Weight (out_features, in_features) and bias (out_features,) start uniform within 1 / sqrt(in_features) of 0, as in
    PyTorch.

    Args:
        in_features, out_features: lengths of the last axis of input and output.
        bias: False leaves the bias out.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = as_index("Linear", "in_features", in_features, 1)
        self.out_features = as_index("Linear", "out_features", out_features, 1)
        self.weight = Parameter(zeros(self.out_features, self.in_features))
        self.register_parameter("bias", Parameter(zeros(self.out_features)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias again."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Return (..., out_features)."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
