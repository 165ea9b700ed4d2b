"""The multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ...checks import as_index
from ...errors import ArgumentError, explain
from ...tensor import Tensor
from ..block import ActivationLike, LinearBlock
from ..container import Sequential
from ..linear import Linear
from ..module import Module
from ..order import OrderLike
from ..pooling import Flatten


class MLP(Module):
    """Fully connected blocks and a classifier: (N, ...) with in_features numbers each -> logits (N, num_classes).

    Args:
        in_features: numbers per example; images are flattened.
        hidden: features of each block.
        num_classes: number of logits.
        order: of every block, or a list of one order per block; see `LinearBlock`.
        activation, bias: of every block.

    Attributes:
        input_shape: (in_features,).

    >>> MLP(784, hidden=(32, 16), order="swap", activation="tanh").features[1]
    LinearBlock(
      (linear): Linear(in_features=32, out_features=16, bias=True)
      (act): Tanh()
      (norm): BatchNorm1d(16, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
    )
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int] = (256, 256),
        num_classes: int = 10,
        order: OrderLike | list[OrderLike] = "convention",
        activation: ActivationLike = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.input_shape = (as_index("MLP", "in_features", in_features, 1),)
        sizes = (in_features, *hidden)
        self.flatten = Flatten()
        orders = order if isinstance(order, list) else [order] * len(hidden)
        if len(orders) != len(hidden):
            raise ArgumentError(explain("MLP", f"one order, or {len(hidden)} of them", str(len(orders))))
        self.features = Sequential(
            *(
                LinearBlock(inputs, outputs, own, activation, bias)
                for (inputs, outputs), own in zip(pairwise(sizes), orders, strict=True)
            )
        )
        self.classifier = Linear(sizes[-1], num_classes)

    def forward(self, input: Tensor) -> Tensor:
        """Return logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.features(self.flatten(input)))
        return logits
