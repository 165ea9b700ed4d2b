"""Batch normalisation, alone or with an activation, and dropout: they behave differently in training and evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..autograd import Op, apply, check_in_place
from ..backend import default_generator, fed
from ..checks import as_bool, as_number, check_probability
from ..errors import ArgumentError, ShapeError, explain, unknown_choice
from ..kernels.reference.batch_norm import RunningAverages
from ..tensor import Tensor
from .activation import formula_parameters
from .arguments import check_devices, check_floating, check_parameter, no_inplace


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    num_batches_tracked: Tensor | None = None,
) -> Tensor:
    """Normalise each channel, as `torch.nn.functional.batch_norm` (Ioffe & Szegedy 2015).

    In training with the batch's mean and biased variance, and the running averages, where given, are moved:
    `running = (1 - momentum) * running + momentum * batch`, with the unbiased variance. In evaluation with the running
    averages, which then are constants.

    Args:
        input: (N, C) or (N, C, ...); the channel axis is axis 1.
        running_mean, running_var: (C,), changed in place in training; both or neither.
        weight, bias: (C,), the trained scale (gamma) and shift (beta).
        training: which of the two.
        momentum: the weight of the new value in the running averages.
        eps: added to the variance, inside the root.
        num_batches_tracked: () of int64, goes up by one when the running averages are moved.

    Raises:
        ArgumentError: training with fewer than two values per channel, or evaluation without running averages.
        ShapeError, DTypeError: a parameter does not fit the input.
    """
    return _normalize(
        "batch_norm",
        input,
        (running_mean, running_var, weight, bias),
        training,
        momentum,
        eps,
        num_batches_tracked,
        ops.BatchNorm,
        ops.BatchNormEval,
    )


def norm_act(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    order: str = "convention",
    activation: str = "relu",
    num_batches_tracked: Tensor | None = None,
    **parameters: Any,
) -> Tensor:
    """Normalise each channel and apply an activation, or the other way round, as one operation.

    The same numbers as `batch_norm` and the activation one after the other, without the tensor between them.

    Args:
        input, running_mean, running_var, weight, bias, training, momentum, eps, num_batches_tracked: as in
            `batch_norm`. The statistics and the running averages are those of what is normalised: of the input in
            "convention", of its activation in "swap".
        order: "convention", activation(batch_norm(input)); or "swap", batch_norm(activation(input)).
        activation: the name of a function of this package with fixed parameters: any but prelu and rrelu.
        parameters: that function's parameters, such as negative_slope.

    >>> import tinygrad_bn as tg
    >>> norm_act(tg.tensor([[-1.0], [1.0]]), None, None, training=True, eps=3.0).tolist()
    [[0.0], [0.5]]

    Raises:
        ArgumentError: an unknown order, activation or parameter; or as in `batch_norm`.
        ShapeError, DTypeError: as in `batch_norm`.
    """
    if order not in ("convention", "swap"):
        raise unknown_choice("norm_act", "order", order, ("convention", "swap"))
    settings = (order, activation, formula_parameters("norm_act", activation, parameters))
    return _normalize(
        "norm_act",
        input,
        (running_mean, running_var, weight, bias),
        training,
        momentum,
        eps,
        num_batches_tracked,
        lambda eps, averages: ops.NormAct(eps, *settings, averages),
        lambda eps: ops.NormActEval(eps, *settings),
    )


def _normalize(
    where: str,
    input: Tensor,
    tensors: tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None],
    training: bool,
    momentum: float,
    eps: float,
    num_batches_tracked: Tensor | None,
    training_op: Callable[[float, RunningAverages | None], Op],
    evaluation_op: Callable[[float], Op],
) -> Tensor:
    """Check all arguments and apply one of two operations, made from eps; in training, move the running averages."""
    x = check_floating(where, "input", input)
    if x.ndim < 2:
        raise ShapeError(explain(where, "input (N, C) or (N, C, ...)", f"shape {x.shape}"))
    for name, value in zip(("running_mean", "running_var", "weight", "bias"), tensors, strict=True):
        check_parameter(where, name, value, (x.shape[1],), x.dtype, wider=True)
    if num_batches_tracked is not None:
        _check_number_of_batches(where, num_batches_tracked, tensors[0])
    check_devices(where, x, *tensors, num_batches_tracked)
    running_mean, running_var, weight, bias = tensors
    if (running_mean is None) != (running_var is None):
        raise ArgumentError(explain(where, "both running_mean and running_var, or neither", "one of them"))
    eps, momentum = as_number(where, "eps", eps), as_number(where, "momentum", momentum)
    if not eps > 0:
        raise ArgumentError(explain(where, "eps > 0", repr(eps)))
    training = as_bool(where, "training", training)
    momentum = as_number(where, "momentum", momentum, at_least=0, at_most=1)
    flat = x if x.ndim in (2, 4) else x.reshape(x.shape[0], x.shape[1], math.prod(x.shape[2:]), 1)
    result: Tensor
    if training:
        moved = [t for t in (running_mean, running_var, num_batches_tracked) if t is not None]
        _check_training(where, x, moved)
        averages = None
        if running_mean is not None and running_var is not None:
            batches = None if num_batches_tracked is None else num_batches_tracked.data
            averages = RunningAverages(running_mean.data, running_var.data, momentum, batches)
        result = apply(training_op(eps, averages), flat, weight, bias)
        for tensor in moved:
            tensor.has_changed()
    elif running_mean is None or running_var is None:
        raise ArgumentError(
            explain(where, "running_mean and running_var in evaluation", "None", "or pass training=True")
        )
    else:
        result = apply(evaluation_op(eps), flat, running_mean, running_var, weight, bias)
    return result if flat is x else result.reshape(x.shape)


def _check_number_of_batches(where: str, batches: Any, running_mean: Tensor | None) -> None:
    if not isinstance(batches, Tensor) or batches.shape != () or batches.dtype != np.int64:
        got = f"{batches.dtype} of shape {batches.shape}" if isinstance(batches, Tensor) else type(batches).__name__
        raise ArgumentError(explain(where, "num_batches_tracked, a Tensor of int64 and shape ()", got))
    if running_mean is None:
        raise ArgumentError(explain(where, "running averages, whose batches num_batches_tracked counts", "None"))


def _check_training(where: str, x: Tensor, moved: list[Tensor]) -> None:
    """Check that a training step can be made, and that it may change these tensors."""
    count = x.size // x.shape[1] if x.shape[1] else 0
    if count < 2:
        raise ArgumentError(
            explain(
                where,
                "at least 2 values per channel in training",
                f"{count} (input of shape {x.shape})",
                "use a larger batch, or eval() to normalise with the running averages",
            )
        )
    for tensor in moved:
        check_in_place(where, tensor)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero elements with probability p and divide the others by 1 - p, in training; the identity in evaluation.

    The mask is drawn on the host from the default generator (`tg.manual_seed`), for every device the same.
    """
    x = check_floating("dropout", "input", input)
    no_inplace("dropout", inplace)
    training = as_bool("dropout", "training", training)
    p = check_probability("dropout", "p", p)
    if not training or p == 0:
        return x
    shape, dtype = x.shape, x.dtype
    result: Tensor = apply(ops.Dropout(fed(x.device, lambda: _dropout_mask(shape, p, dtype))), x)
    return result


def _dropout_mask(shape: tuple[int, ...], p: float, dtype: Any) -> np.ndarray:
    """Draw 0 with probability p, else 1 / (1 - p)."""
    keep = default_generator.uniform(shape) >= p
    scale = 0.0 if math.isclose(p, 1.0) else 1.0 / (1.0 - p)
    with np.errstate(over="ignore"):  # of float16
        mask: np.ndarray = (keep * scale).astype(dtype)
    return mask
