"""Batch normalisation and an activation as one operation, in both orders: act(bn(x)) and bn(act(x)).

Between the two operations lies a tensor as large as the input that nothing but the second one reads. As one operation
they never store it: the backward pass starts from x and the statistics and computes it again. `expand` is the two
operations one after the other; the arrays are computed in `kernels/reference/norm_act.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..autograd import FusedOp, apply
from ..kernels.reference.batch_norm import RunningAverages
from .activations import Activation
from .batch_norm import BatchNorm, BatchNormEval, cast_gradients

Shape = tuple[int, ...]


class _Pair(FusedOp):
    """What training and evaluation share.

    Args:
        eps: of the normalisation.
        order: "convention", act(bn(x)); or "swap", bn(act(x)).
        activation, parameters: as of `Activation`.
    """

    normalization: ClassVar[type[BatchNorm | BatchNormEval]]
    gradients_are_new = True

    def __init__(self, eps: float, order: str, activation: str, parameters: dict[str, Any]) -> None:
        self.eps = eps
        self.order = order
        self.activation = activation
        self.parameters = parameters

    def expand(self, x: Any, *rest: Any) -> Any:
        norm, activation = self._halves()
        if self.order == "swap":
            return apply(norm, apply(activation, x), *rest)
        return apply(activation, apply(norm, x, *rest))

    def flops(self, input_shapes: Sequence[Shape], output_shape: Shape) -> int:
        return sum(half.flops(input_shapes, output_shape) for half in self._halves())

    def _halves(self) -> tuple[FusedOp, FusedOp]:
        return self.normalization(self.eps), Activation(self.activation, self.parameters)

    def _settings(self) -> tuple[Any, ...]:
        return self.eps, self.order, self.activation, self.parameters


class NormAct(_Pair):
    """Training: normalise with the statistics of x ("convention") or of act(x) ("swap"); weight and bias may be None.

    Args:
        eps, order, activation, parameters: as of the pair.
        averages: as of `BatchNorm`.
    """

    name = "norm_act"
    normalization = BatchNorm

    def __init__(
        self,
        eps: float,
        order: str,
        activation: str,
        parameters: dict[str, Any],
        averages: RunningAverages | None = None,
    ) -> None:
        super().__init__(eps, order, activation, parameters)
        self.averages = averages

    def forward(self, kernels: Any, x: Any, weight: Any, bias: Any) -> Any:
        averages, self.averages = self.averages, None
        output, *statistics = kernels.norm_act(x, weight, bias, *self._settings(), averages)
        self.kept = tuple(statistics)
        return output

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1, 2)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        x, weight, bias = inputs
        gradients = kernels.norm_act_grad(grad, x, *self.kept, weight, bias, *self._settings())
        return cast_gradients(gradients, weight, bias)


class NormActEval(_Pair):
    """Evaluation: normalise with given statistics (the running averages), which are constants."""

    name = "norm_act_eval"
    normalization = BatchNormEval

    def forward(self, kernels: Any, x: Any, mean: Any, variance: Any, weight: Any, bias: Any) -> Any:
        return kernels.norm_act_eval(x, mean, variance, weight, bias, *self._settings())

    def retained_inputs(self) -> Sequence[int]:
        return (0, 1, 2, 3, 4)

    def backward_arrays(self, kernels: Any, grad: Any, inputs: Sequence[Any], output: Any) -> Sequence[Any]:
        x, mean, variance, weight, bias = inputs
        gradients = kernels.norm_act_eval_grad(grad, x, mean, variance, weight, bias, *self._settings())
        grad_x, grad_weight, grad_bias = cast_gradients(gradients, weight, bias)
        return grad_x, None, None, grad_weight, grad_bias
