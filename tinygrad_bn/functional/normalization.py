"""Batch normalisation and dropout: the two functions that behave differently in training and evaluation."""

from __future__ import annotations

import math

import numpy as np

from .. import ops
from ..autograd import apply, check_in_place
from ..backend import default_generator
from ..checks import as_bool, as_number, check_probability
from ..errors import ArgumentError, ShapeError, explain
from ..kernels import kernels_of
from ..tensor import Tensor
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

    Raises:
        ArgumentError: training with fewer than two values per channel, or evaluation without running averages.
        ShapeError, DTypeError: a parameter does not fit the input.
    """
    x = check_floating("batch_norm", "input", input)
    if x.ndim < 2:
        raise ShapeError(explain("batch_norm", "input (N, C) or (N, C, ...)", f"shape {x.shape}"))
    for name, value in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        check_parameter("batch_norm", name, value, (x.shape[1],), x.dtype, wider=True)
    check_devices("batch_norm", x, running_mean, running_var, weight, bias)
    if (running_mean is None) != (running_var is None):
        raise ArgumentError(explain("batch_norm", "both running_mean and running_var, or neither", "one of them"))
    eps, momentum = as_number("batch_norm", "eps", eps), as_number("batch_norm", "momentum", momentum)
    if not eps > 0:
        raise ArgumentError(explain("batch_norm", "eps > 0", repr(eps)))
    training = as_bool("batch_norm", "training", training)
    momentum = as_number("batch_norm", "momentum", momentum, at_least=0, at_most=1)
    flat = x if x.ndim in (2, 4) else x.reshape(x.shape[0], x.shape[1], math.prod(x.shape[2:]), 1)
    if training:
        result = _train(flat, running_mean, running_var, weight, bias, momentum, eps)
    elif running_mean is None or running_var is None:
        raise ArgumentError(
            explain("batch_norm", "running_mean and running_var in evaluation", "None", "or pass training=True")
        )
    else:
        result = apply(ops.BatchNormEval(eps), flat, running_mean, running_var, weight, bias)
    return result if flat is x else result.reshape(x.shape)


def _train(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    count = x.size // x.shape[1] if x.shape[1] else 0
    if count < 2:
        raise ArgumentError(
            explain(
                "batch_norm",
                "at least 2 values per channel in training",
                f"{count} (input of shape {x.shape})",
                "use a larger batch, or eval() to normalise with the running averages",
            )
        )
    for running in (running_mean, running_var):
        if running is not None:
            check_in_place("batch_norm", running)
    op = ops.BatchNorm(eps)
    result: Tensor = apply(op, x, weight, bias)
    if running_mean is not None and running_var is not None:
        kernels = kernels_of(x.device)
        mean, variance = op.statistics
        with np.errstate(all="ignore"):  # infinities and NaN are values like any other
            for running, new in ((running_mean, mean), (running_var, variance * (count / (count - 1)))):
                kernels.blend(running.data, new, momentum)
                running.version.count += 1
    return result


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
    keep = default_generator.uniform(x.shape) >= p
    scale = 0.0 if math.isclose(p, 1.0) else 1.0 / (1.0 - p)
    with np.errstate(over="ignore"):  # of float16
        mask = x.device.from_host((keep * scale).astype(x.dtype))
    result: Tensor = apply(ops.Dropout(mask), x)
    return result
