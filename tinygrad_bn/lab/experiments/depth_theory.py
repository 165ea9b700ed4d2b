"""By how much BatchNorm makes gradients grow per layer at initialisation, derived for infinitely wide networks.

A layer is a weight matrix with independent entries of mean 0, BatchNorm over a batch of B examples with gamma 1 and
beta 0, and an activation f. In a wide and deep network every pair of examples has become alike (the fixed point of
Yang, Pennington, Rao, Sohl-Dickstein & Schoenholz 2019, "A Mean Field Theory of Batch Normalization"): a unit's values
u over the batch, with their mean taken out, are normally distributed in all B - 1 directions alike. So are the
gradients that come back. One layer then multiplies the expected squared norm of the gradient by

* weight, BatchNorm, activation:  B / ((B - 3) c) * E[tr P D C D P] / (B - 1)
* weight, activation, BatchNorm:  v E[tr(P D C D P) / s^2] / (B - 1)

where C = I - 11'/B takes out the mean, P = C - mm' is the backward pass of BatchNorm without its scale, m the direction
of what BatchNorm normalises and s its deviation, D = diag(f') at the activation's input. In the first line that input
is z = sqrt(B) m, c = E|C f(z)|^2 / (B - 1), and B / ((B - 3) c) is the mean of 1 / s^2. In the second it is u with
variance v (the weights' variance times the fan-in), and m and s belong to C f(u). The expectations are over m or u.

For a linear network both are (B - 2) / (B - 3), as Yang et al. prove; for ReLU both tend to pi / (pi - 1) as B grows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import functional as F
from ... import nn
from ...tensor import Tensor

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Numbers drawn for one expectation: many short batches, or fewer long ones.
DRAWN = 2_000_000
#: Step of the midpoint rule behind `growth_limit`, and where it ends. A kink at 0 lies between two nodes.
STEP, FARTHEST = 1e-3, 12.0


def normalizes_before_activation(order: str) -> bool:
    """Whether BatchNorm stands between the weight and the next activation, in a stack of blocks of this order.

    In a deep stack only the cycle counts: a preact block, repeated, is Convention with other ends.

    >>> [normalizes_before_activation(order) for order in ("convention", "preact", "swap", "norm-weight-act")]
    [True, True, False, False]
    """
    parts = nn.parse_order(order)
    start = parts.index("weight")
    return (parts[start + 1 :] + parts[:start])[0] == "norm"


def growth_factor(activation: str, order: str, batch_size: int, weight_variance: float = 1.0, seed: int = 0) -> float:
    """Factor per layer of the expected squared gradient norm, for one batch size; the expectation is sampled.

    Args:
        activation: name of the function.
        order: a word for an order with all three parts.
        batch_size: examples in the batch, at least 4.
        weight_variance: the weights' variance times the fan-in; 1 for `xavier_normal` in layers of constant width, 2
            for `kaiming_normal`. It does not matter where BatchNorm comes before the activation.
        seed: of the sampling.

    >>> round(growth_factor("identity", "convention", 8), 3), (8 - 2) / (8 - 3)
    (1.2, 1.2)
    """
    samples = DRAWN // batch_size
    directions = np.random.default_rng(seed).normal(size=(samples, batch_size))
    directions -= directions.mean(axis=1, keepdims=True)
    if normalizes_before_activation(order):
        normal = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        values, slopes = values_and_slopes(activation, math.sqrt(batch_size) * normal)
        spread = _centred_square(values).mean() / (batch_size - 1)
        trace = _trace(slopes, normal).mean()
        return float(batch_size / ((batch_size - 3) * spread) * trace / (batch_size - 1))
    inputs = directions * math.sqrt(weight_variance * batch_size / (batch_size - 1))
    values, slopes = values_and_slopes(activation, inputs)
    square = _centred_square(values)
    # A batch that is constant after the activation, such as zeros behind ReLU, passes no gradient on.
    alive = square > 1e-12
    centred = values[alive] - values[alive].mean(axis=1, keepdims=True)
    normal = centred / np.sqrt(square[alive])[:, None]
    ratios = _trace(slopes[alive], normal) * batch_size / square[alive]
    return float(weight_variance * ratios.sum() / samples / (batch_size - 1))


def growth_limit(activation: str, order: str, weight_variance: float = 1.0) -> float:
    """The same factor for large batches: v E f'(u)^2 / Var f(u) with normal u of variance v.

    v is 1 where BatchNorm comes before the activation, and `weight_variance` where it comes after.

    >>> abs(growth_limit("relu", "convention") - math.pi / (math.pi - 1)) < 1e-5
    True
    """
    variance = 1.0 if normalizes_before_activation(order) else weight_variance
    nodes = np.arange(-FARTHEST, FARTHEST, STEP) + STEP / 2
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    values, slopes = values_and_slopes(activation, math.sqrt(variance) * nodes)
    mean = float(weights @ values)
    return variance * float(weights @ slopes**2) / float(weights @ (values - mean) ** 2)


def values_and_slopes(activation: str, inputs: Array) -> tuple[Array, Array]:
    """An activation's values and derivatives at some inputs, by this package's own operations."""
    tensor = Tensor(inputs, requires_grad=True)
    output = F.get_activation(activation).function(tensor)
    output.backward(np.ones(inputs.shape))
    assert tensor.grad is not None
    return output.numpy(), tensor.grad.numpy()


def _centred_square(values: Array) -> Array:
    """|C x|^2 of each row x."""
    return np.asarray(((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))


def _trace(slopes: Array, normal: Array) -> Array:
    """tr(P D C D P) of each row, with D = diag(slopes) and P = I - 11'/B - normal normal'."""
    batch_size = slopes.shape[1]
    square = (slopes**2).sum(axis=1)
    diagonal = square * (1 - 1 / batch_size) - (normal**2 * slopes**2).sum(axis=1)
    shared = square - slopes.sum(axis=1) ** 2 / batch_size - (normal * slopes).sum(axis=1) ** 2
    return np.asarray(diagonal - shared / batch_size)
