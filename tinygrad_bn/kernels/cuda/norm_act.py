"""Batch normalisation and an activation as one kernel: the same launches as batch normalisation alone."""

from __future__ import annotations

from typing import Any

from ..reference.batch_norm import RunningAverages
from .activations import IDENTITY, formula_of
from .batch_norm import BatchNormOverrides, covers
from .layout import in_shape_of, rows_of


class NormActOverrides(BatchNormOverrides):
    """Both orders, for the arrays that batch normalisation alone is covered for."""

    def norm_act(
        self,
        x: Any,
        weight: Any,
        bias: Any,
        eps: float,
        order: str,
        activation: str,
        parameters: dict[str, Any],
        averages: RunningAverages | None = None,
    ) -> tuple[Any, Any, Any]:
        if not covers(x, weight, bias):
            return super().norm_act(x, weight, bias, eps, order, activation, parameters, averages)
        formula, swap, rows = formula_of(activation, parameters), order == "swap", rows_of(x)
        mean, variance = self.statistics_of(rows, formula if swap else IDENTITY, averages)
        output = self.output_of(rows, (mean, variance, weight, bias), eps, swap, formula)
        return in_shape_of(x, output), mean, variance

    def norm_act_eval(
        self,
        x: Any,
        mean: Any,
        variance: Any,
        weight: Any,
        bias: Any,
        eps: float,
        order: str,
        activation: str,
        parameters: dict[str, Any],
    ) -> Any:
        channels = (mean, variance, weight, bias)
        if not covers(x, *channels):
            return super().norm_act_eval(x, *channels, eps, order, activation, parameters)
        formula = formula_of(activation, parameters)
        return in_shape_of(x, self.output_of(rows_of(x), channels, eps, order == "swap", formula))

    def norm_act_grad(
        self,
        grad: Any,
        x: Any,
        mean: Any,
        variance: Any,
        weight: Any,
        bias: Any,
        eps: float,
        order: str,
        activation: str,
        parameters: dict[str, Any],
    ) -> tuple[Any, Any, Any]:
        channels = (mean, variance, weight, bias)
        if not covers(x, *channels) or grad.dtype != x.dtype:
            return super().norm_act_grad(grad, x, *channels, eps, order, activation, parameters)
        formula = formula_of(activation, parameters)
        return self.gradients_of(grad, x, channels, eps, True, order == "swap", formula)

    def norm_act_eval_grad(
        self,
        grad: Any,
        x: Any,
        mean: Any,
        variance: Any,
        weight: Any,
        bias: Any,
        eps: float,
        order: str,
        activation: str,
        parameters: dict[str, Any],
    ) -> tuple[Any, Any, Any]:
        channels = (mean, variance, weight, bias)
        if not covers(x, *channels) or grad.dtype != x.dtype:
            return super().norm_act_eval_grad(grad, x, *channels, eps, order, activation, parameters)
        formula = formula_of(activation, parameters)
        return self.gradients_of(grad, x, channels, eps, False, order == "swap", formula)
