"""Batch normalisation and an activation in one kernel, in both orders, training and evaluation, both ways.

`order` is "convention", output = act(bn(x)), with the statistics of x; or "swap", output = bn(act(x)), with the
statistics of act(x). `activation` is a key of FORMULAS, `parameters` its parameters; weight and bias may be None.

Here the kernels of the two operations follow each other: that is the definition. A faster provider computes the same
in one or two passes over x; so nothing but x and the statistics goes from forward to backward, and what lies between
the two operations is computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .activations import FORMULAS, ActivationKernels
from .batch_norm import BatchNormKernels, RunningAverages


class NormActKernels(BatchNormKernels, ActivationKernels):
    """The pair, composed of its two halves; dtypes as there: statistics in float32 or wider."""

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
        """Return the output, and the mean and the biased variance, both (C,), of what is normalised.

        The averages, if given, are moved towards that mean and the unbiased variance.
        """
        normalized = self.activation(activation, x, parameters) if order == "swap" else x
        mean, variance = self.batch_norm_statistics(normalized, averages)
        output = self.batch_norm(normalized, mean, variance, weight, bias, eps)
        return output if order == "swap" else self.activation(activation, output, parameters), mean, variance

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
        """Return the output where mean and variance are given."""
        if order == "swap":
            x = self.activation(activation, x, parameters)
            return self.batch_norm(x, mean, variance, weight, bias, eps)
        return self.activation(activation, self.batch_norm(x, mean, variance, weight, bias, eps), parameters)

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
        """Return the gradients of x, weight and bias when mean and variance are those that `norm_act` returned."""
        return self._pair_grad(
            self.batch_norm_grad, grad, x, mean, variance, weight, bias, eps, order, activation, parameters
        )

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
        """Return the gradients of x, weight and bias when mean and variance are constants."""
        return self._pair_grad(
            self.batch_norm_eval_grad, grad, x, mean, variance, weight, bias, eps, order, activation, parameters
        )

    def _pair_grad(
        self,
        batch_norm_grad: Callable[..., tuple[Any, Any, Any]],
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
        if order == "swap":
            activated = self.activation(activation, x, parameters)
            grad, grad_weight, grad_bias = batch_norm_grad(grad, activated, mean, variance, weight, eps)
            return self.activation_grad(activation, grad, x, activated, parameters), grad_weight, grad_bias
        normalized = self.batch_norm(x, mean, variance, weight, bias, eps)
        needs_output = FORMULAS[activation].uses == "output"
        output = self.activation(activation, normalized, parameters) if needs_output else None
        grad = self.activation_grad(activation, grad, normalized, output, parameters)
        return batch_norm_grad(grad, x, mean, variance, weight, eps)
