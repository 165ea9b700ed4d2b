"""Softmax and losses."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from .. import ops
from ..autograd import apply, is_autocast_enabled
from ..backend.capturing import refuse_reading
from ..checks import as_index, check_probability, normalize_axis
from ..dtypes import is_floating, is_half, promoted
from ..errors import ArgumentError, DTypeError, ShapeError, explain, unknown_choice
from ..kernels import kernels_of
from ..tensor import Tensor
from .arguments import REDUCTIONS, check_devices, check_floating, check_parameter, reduce_loss

_Loss = TypeVar("_Loss", bound=Callable[..., Tensor])


def _in_float32(loss: _Loss) -> _Loss:
    """Make a loss of 16-bit tensors compute in float32, where means and squares do not overflow.

    Inside `autocast` it stays in float32.
    """

    @wraps(loss)
    def widened(input: Tensor, target: Tensor, *others: Any, **options: Any) -> Tensor:
        if not isinstance(input, Tensor) or not is_half(input.dtype):
            return loss(input, target, *others, **options)
        options = {name: _wide(value) for name, value in options.items()}
        result = loss(_wide(input), _wide(target), *map(_wide, others), **options)
        return result if is_autocast_enabled() else result.astype(input.dtype)

    return widened  # type: ignore[return-value]


def _wide(value: Any) -> Any:
    return value.astype("float32") if isinstance(value, Tensor) and is_half(value.dtype) else value


def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return exp(input) / sum(exp(input)) along `dim`, without overflow; `dtype` converts first."""
    x, axis = _softmax_arguments("softmax", input, dim, dtype)
    result: Tensor = apply(ops.Softmax(axis), x)
    return result if dtype is None else result.astype(dtype)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the logarithm of softmax along `dim`, without overflow; `dtype` converts first."""
    x, axis = _softmax_arguments("log_softmax", input, dim, dtype)
    result: Tensor = apply(ops.LogSoftmax(axis), x)
    return result if dtype is None else result.astype(dtype)


@_in_float32
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy between logits and targets, as `torch.nn.functional.cross_entropy`.

    Args:
        input: logits, (N, C), (N, C, d1, ...) or (C,).
        target: class indices (N,), (N, d1, ...) or (), of an integer dtype; or class probabilities in the input's
            shape and a floating-point dtype.
        weight: (C,), a weight per class.
        ignore_index: a target that counts nothing (class indices only).
        reduction: "none", "sum" or "mean"; the mean of class indices is weighted by the targets' weights.
        label_smoothing: in [0, 1]: how much of each target is spread evenly over all classes.

    Raises:
        ShapeError, DTypeError: input, target and weight do not fit together.
        ArgumentError: a class index outside 0 .. C-1, or an unknown reduction.
    """
    where = "cross_entropy"
    x = check_floating(where, "input", input)
    label_smoothing = check_probability(where, "label_smoothing", label_smoothing)
    x, goal, single = _loss_arguments(where, x, target, weight, reduction, probabilities=True)
    classes = x.shape[1]
    if is_floating(goal.dtype):
        if ignore_index != -100:
            raise ArgumentError(explain(where, "no ignore_index with probabilities", f"ignore_index={ignore_index}"))
        wider = promoted(x.dtype, goal.dtype)
        x, goal = x.astype(wider), goal.astype(wider)
        spread = goal * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else goal
        if weight is not None:
            spread = spread * weight.reshape((1, classes) + (1,) * (x.ndim - 2))
        losses: Tensor = apply(ops.CrossEntropy(), x, spread)
        if reduction == "mean":
            return losses.sum() / losses.size
    elif weight is None and not label_smoothing:
        ignore_index = as_index(where, "ignore_index", ignore_index)
        check_classes(where, goal, classes, ignore_index)
        losses = apply(ops.ClassCrossEntropy(ignore_index, reduction), x, goal)
        return losses.squeeze(0) if single and reduction == "none" else losses
    else:
        spread, total = _class_weights(where, goal, classes, weight, ignore_index, label_smoothing, x)
        losses = apply(ops.CrossEntropy(), x, spread)
        if reduction == "mean":
            return losses.sum() / total
    losses = losses.squeeze(0) if single else losses
    return reduce_loss(where, losses, reduction)


@_in_float32
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Return the negative log-likelihood of class indices, as `torch.nn.functional.nll_loss`.

    Args:
        input: log-probabilities, (N, C), (N, C, d1, ...) or (C,).
        target: class indices (N,), (N, d1, ...) or ().
        weight, ignore_index, reduction: as in cross_entropy.
    """
    x = check_floating("nll_loss", "input", input)
    x, goal, single = _loss_arguments("nll_loss", x, target, weight, reduction, probabilities=False)
    spread, total = _class_weights("nll_loss", goal, x.shape[1], weight, ignore_index, 0.0, x)
    losses: Tensor = ops.weighted_negative(spread, x)
    if reduction == "mean":
        return losses.sum() / total
    return reduce_loss("nll_loss", losses.squeeze(0) if single else losses, reduction)


@_in_float32
def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Return the squared differences of two tensors of one shape, or their mean or sum."""
    x = check_floating("mse_loss", "input", input)
    goal = check_floating("mse_loss", "target", target)
    if x.shape != goal.shape:
        raise ShapeError(explain("mse_loss", f"a target of the input's shape {x.shape}", str(goal.shape)))
    check_devices("mse_loss", x, goal)
    difference = x - goal
    return reduce_loss("mse_loss", difference * difference, reduction)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return class indices (...) as int64 vectors (..., num_classes) with a 1 at the class; -1 takes the largest + 1.

    >>> import tinygrad_bn as tg
    >>> one_hot(tg.tensor([0, 2], dtype="int64")).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    if not isinstance(tensor, Tensor) or tensor.dtype.kind not in "iu":
        got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise DTypeError(explain("one_hot", "an integer tensor", str(got), "use astype('int64')"))
    classes = as_index("one_hot", "num_classes", num_classes, minimum=-1)
    if classes == -1:
        if tensor.size == 0:
            raise ArgumentError(explain("one_hot", "num_classes for an empty tensor", "-1"))
        refuse_reading("the largest class", "pass num_classes")
        classes = int(tensor.max().item()) + 1
    check_classes("one_hot", tensor, classes, None)
    return (tensor.unsqueeze(-1) == tensor.wrap(tensor.device.use().arange(classes))).astype("int64")


def check_classes(where: str, target: Tensor, classes: int, ignore_index: int | None) -> None:
    """Check class indices against 0 .. classes-1, on the CPU only: a GPU would have to stop and answer."""
    if str(target.device) != "cpu":
        return
    indices = target.data
    wrong = indices.view(indices.dtype.str.replace("i", "u")) >= classes  # so negative ones are large, too
    if wrong.any() and ignore_index is not None:
        wrong &= indices != ignore_index
    if wrong.any():
        raise ArgumentError(explain(where, f"class indices in 0 .. {classes - 1}", str(int(indices[wrong].flat[0]))))


def _softmax_arguments(where: str, input: Tensor, dim: int | None, dtype: Any) -> tuple[Tensor, int]:
    x = input if dtype is None or not isinstance(input, Tensor) else input.astype(dtype)
    check_floating(where, "input", x)
    if dim is None:
        raise ArgumentError(explain(where, "dim, the axis along which probabilities sum to 1", "None"))
    axis = normalize_axis(where, dim, x.ndim)
    if x.shape[axis] == 0:
        raise ShapeError(explain(where, f"at least one element along axis {axis}", f"shape {x.shape}"))
    return x, axis


def _loss_arguments(
    where: str, x: Tensor, target: Any, weight: Tensor | None, reduction: str, probabilities: bool
) -> tuple[Tensor, Tensor, bool]:
    """Return logits (N, C, ...), the target, and whether a batch axis was added; everything checked."""
    if reduction not in REDUCTIONS:
        raise unknown_choice(where, "reduction", reduction, REDUCTIONS)
    if not isinstance(target, Tensor):
        raise DTypeError(explain(where, "target to be a Tensor", type(target).__name__, "wrap it with tg.tensor(...)"))
    if target.dtype.kind not in "iu" and not (probabilities and is_floating(target.dtype)):
        raise DTypeError(explain(where, "class indices of an integer dtype", str(target.dtype), "use astype('int64')"))
    single = x.ndim == 1
    if single:
        x, target = x.unsqueeze(0), target.unsqueeze(0)
    if x.ndim < 2 or x.shape[1] == 0:
        raise ShapeError(explain(where, "input (N, C, ...) with at least one class", f"shape {x.shape}"))
    wanted = x.shape if is_floating(target.dtype) else (x.shape[0], *x.shape[2:])
    if target.shape != wanted:
        hint = "class indices have an integer dtype" if is_floating(target.dtype) else None
        raise ShapeError(
            explain(where, f"target of shape {wanted} for input of shape {x.shape}", str(target.shape), hint)
        )
    check_parameter(where, "weight", weight, (x.shape[1],), x.dtype)
    check_devices(where, x, target, weight)
    return x, target, single


def _class_weights(
    where: str,
    target: Tensor,
    classes: int,
    weight: Tensor | None,
    ignore_index: int,
    smoothing: float,
    x: Tensor,
) -> tuple[Tensor, Tensor]:
    check_classes(where, target, classes, as_index(where, "ignore_index", ignore_index))
    kernels = kernels_of(x.device)
    with np.errstate(all="ignore"):
        spread, totals = kernels.class_weights(
            target.data, classes, None if weight is None else weight.data, ignore_index, smoothing, x.dtype
        )
    return x.wrap(spread), x.wrap(totals).sum()
