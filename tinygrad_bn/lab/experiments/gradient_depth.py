"""How large the gradient is in each layer of a deep network at initialisation, in each order and without BatchNorm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ...backend import manual_seed
from ...tensor import Tensor
from ..probes.norms import norms
from ..recipes import INITIALIZATIONS
from ..statistics import bootstrap_interval
from .depth_theory import growth_factor, growth_limit
from .experiment import Measurement
from .gradient_depth_page import WITHOUT, present

Numbers = dict[str, Any]

#: The weights' variance times the fan-in, in layers of constant width.
WEIGHT_VARIANCE = {"default": 1 / 3, "xavier_normal": 1.0, "kaiming_normal": 2.0}


def gradient_norms(
    order: str, activation: str, depth: int, width: int, batch_size: int, initialization: str, seed: int
) -> list[float]:
    """Norm of the gradient at each weight layer's output (B, width), first layer first, in float64.

    The network is a stack of fully connected blocks of one width, as initialised and in training mode. Its input and
    the gradient that comes in at its end are independent standard normal numbers, the same for one seed.
    """
    generator = np.random.default_rng(seed)
    manual_seed(seed)
    model = nn.Sequential(*(nn.LinearBlock(width, width, order, activation) for _ in range(depth)))
    INITIALIZATIONS[initialization](model)
    model.double()
    outputs: list[Tensor] = []

    def keep(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(keep)
    output = model(Tensor(generator.normal(size=(batch_size, width))))
    output.backward(Tensor(generator.normal(size=(batch_size, width))))
    gradients = [kept.grad for kept in outputs if kept.grad is not None]
    return [float(norm) for norm in norms([gradient.data for gradient in gradients], output.device)]


def growth_per_layer(gradients: Sequence[float], margin: int) -> float:
    """Factor of the squared norm from one layer to the one before: a line through its logarithm, ends left out."""
    logarithms = 2.0 * np.log(gradients[margin : len(gradients) - margin])
    slope = np.polyfit(np.arange(len(logarithms)), logarithms, 1)[0]
    return math.exp(-slope)


def measure(
    depths: Sequence[int],
    width: int,
    batch_size: int,
    orders: Sequence[str],
    activations: Sequence[str],
    initializations: Sequence[str],
    seeds: int,
    factors: Numbers,
) -> Numbers:
    """Gradient norms by layer, and growth factors beside what theory says.

    Args:
        depths, width, batch_size, activations, seeds: of the networks whose profiles are measured.
        orders: those with BatchNorm; their weights are drawn with `xavier_normal`.
        initializations: of the networks without BatchNorm.
        factors: `depth`, `width`, `batch_sizes`, `seeds` of the networks whose growth is fitted, the widths of
            `narrower` ones, and the `margin`: layers at each end that the fit leaves out.
    """
    networks = [(order, "xavier_normal") for order in orders]
    networks += [(WITHOUT, initialization) for initialization in initializations]
    profiles = [
        {
            "activation": activation,
            "order": order,
            "initialization": initialization,
            "depth": depth,
            "log10_norms": _mean_logarithms(order, activation, depth, width, batch_size, initialization, seeds),
        }
        for activation in activations
        for order, initialization in networks
        for depth in depths
    ]
    fitted = []
    for activation in activations:
        kinds = [("convention", "xavier_normal")]
        # Without an activation between them, both orders are the same network.
        kinds += [("swap", "xavier_normal")] if activation != "identity" else []
        for order, initialization in kinds:
            fitted += [
                _fitted(order, activation, initialization, size, factors["width"], factors)
                for size in factors["batch_sizes"]
            ]
    by_width: list[Numbers] = []
    for activation in activations:
        by_width += [
            _fitted("convention", activation, "xavier_normal", batch_size, narrow, factors)
            for narrow in factors["narrower"]
        ]
        wanted = (activation, "convention", batch_size)
        by_width += [entry for entry in fitted if (entry["activation"], entry["order"], entry["batch_size"]) == wanted]
    without = [
        _fitted(WITHOUT, "relu", initialization, batch_size, factors["width"], factors)
        for initialization in initializations
    ]
    return {
        "width": width,
        "batch_size": batch_size,
        "seeds": seeds,
        "profiles": profiles,
        "factor_depth": factors["depth"],
        "factor_width": factors["width"],
        "factors": fitted,
        "by_width": by_width,
        "without": without,
    }


def _mean_logarithms(
    order: str, activation: str, depth: int, width: int, batch_size: int, initialization: str, seeds: int
) -> list[float]:
    found = [gradient_norms(order, activation, depth, width, batch_size, initialization, seed) for seed in range(seeds)]
    return [float(value) for value in np.log10(found).mean(axis=0)]


def _fitted(order: str, activation: str, initialization: str, batch_size: int, width: int, factors: Numbers) -> Numbers:
    values = [
        growth_per_layer(
            gradient_norms(order, activation, factors["depth"], width, batch_size, initialization, seed),
            factors["margin"],
        )
        for seed in range(factors["seeds"])
    ]
    interval, _ = bootstrap_interval(values)
    return {
        "activation": activation,
        "order": order,
        "initialization": initialization,
        "batch_size": batch_size,
        "width": width,
        "values": values,
        "mean": math.fsum(values) / len(values),
        "interval": None if interval is None else list(interval),
        "derived": _derived(order, activation, initialization, batch_size),
        "limit": None if order == WITHOUT else growth_limit(activation, order, WEIGHT_VARIANCE[initialization]),
    }


def _derived(order: str, activation: str, initialization: str, batch_size: int) -> float:
    variance = WEIGHT_VARIANCE[initialization]
    if order == WITHOUT:
        return variance / 2  # half of ReLU's derivatives are 1, the others 0
    if activation == "identity":
        return (batch_size - 2) / (batch_size - 3)
    return growth_factor(activation, order, batch_size, variance)


SMALL: Numbers = {
    "depths": [10, 20, 50, 100],
    "width": 128,
    "batch_size": 32,
    "orders": ["convention", "swap", "preact", "norm-weight-act", "act-norm-weight", "act-weight-norm"],
    "activations": ["relu", "tanh", "identity"],
    "initializations": ["default", "xavier_normal", "kaiming_normal"],
    "seeds": 2,
    "factors": {
        "depth": 24,
        "width": 512,
        "narrower": [64, 128, 256],
        "batch_sizes": [8, 16, 32, 128],
        "seeds": 6,
        "margin": 4,
    },
}
PAPER: Numbers = SMALL | {
    "width": 1024,
    "batch_size": 128,
    "seeds": 6,
    "factors": SMALL["factors"] | {"depth": 50, "width": 2048, "narrower": [128, 512], "seeds": 10, "margin": 10},
}


def gradient_depth(size: str) -> Measurement:
    """The measurement, at one of an experiment's sizes."""
    parameters = SMALL if size == "small" else PAPER
    return Measurement(
        name="gradient-depth",
        measure=measure,
        present=present,
        parameters=parameters,
        heading="Gradients in deep networks",
    )
