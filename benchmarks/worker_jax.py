"""Runs workloads with JAX, compiled as one step. Needs NumPy and JAX alone."""

from __future__ import annotations

import os
from typing import Any

# Before JAX counts the cores: it has no setting for the number of its threads.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(os.environ["OMP_NUM_THREADS"])])

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from .arrays import fingerprint
from .layers import Activation, Conv, Flatten, Layers, Linear, MaxPool, Mean, Norm, Residual, flat
from .serving import Prepared, serve
from .workloads import LEARNING_RATE, Chain, Network, Workload

Arrays = list[Any]


class Jax:
    """JAX on the CPU: channels last, the whole step in one `jit`, its memory donated from step to step."""

    def about(self) -> dict[str, Any]:
        """Return versions and settings."""
        versions = {"jax": jax.__version__, "numpy": np.__version__}
        return {"versions": versions, "threads": int(os.environ["OMP_NUM_THREADS"])}

    def prepare(self, workload: Workload, values: dict[str, Any]) -> Prepared:
        """Build a workload from its arrays."""
        jax.clear_caches()
        if isinstance(workload, Network) and workload.mode == "train":
            return _training(workload, values)
        if isinstance(workload, Chain):
            return _chain(workload, values)
        raise NotImplementedError(workload.name)


def forward(layers: Layers, parameters: Arrays, averages: Arrays, x: Any) -> Any:
    """Return the network's output for images (N, H, W, C); both lists are used up, new averages are appended."""
    for layer in layers:
        match layer:
            case Conv():
                kernel, bias = parameters.pop(0), parameters.pop(0)
                padding = [(layer.padding, layer.padding)] * 2
                x = lax.conv_general_dilated(
                    x,
                    kernel,
                    (layer.stride, layer.stride),
                    padding,
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                    feature_group_count=layer.groups,
                )
                x = x + bias
            case Linear():
                weight, bias = parameters.pop(0), parameters.pop(0)
                x = x @ weight.T + bias
            case Norm():
                x = _batch_norm(x, parameters.pop(0), parameters.pop(0), averages)
            case Activation(name):
                x = jax.nn.relu(x) if name == "relu" else jnp.tanh(x)
            case MaxPool():
                # Quicker here than lax.reduce_window; equal maxima, which share the gradient, are zeros behind ReLU.
                n, rows, columns, channels = x.shape
                even = x[:, : rows // 2 * 2, : columns // 2 * 2]
                x = even.reshape(n, rows // 2, 2, columns // 2, 2, channels).max((2, 4))
            case Mean():
                x = x.mean((1, 2))
            case Flatten():
                x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
            case Residual(branch, stride, extra):
                shortcut = jnp.pad(x[:, ::stride, ::stride, :], ((0, 0), (0, 0), (0, 0), (0, extra)))
                x = shortcut + forward(branch, parameters, averages, x)
    return x


def _batch_norm(x: Any, weight: Any, bias: Any, averages: Arrays) -> Any:
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    variance = jnp.square(x - mean).mean(axes)
    count = x.size // mean.size
    old_mean, old_variance = averages.pop(0), averages.pop(0)
    averages += [0.9 * old_mean + 0.1 * mean, 0.9 * old_variance + 0.1 * variance * (count / (count - 1))]
    return (x - mean) * (lax.rsqrt(variance + 1e-5) * weight) + bias


def _training(workload: Network, values: dict[str, Any]) -> Prepared:
    images = jnp.asarray(values["input"].transpose(0, 2, 3, 1))
    labels = jnp.asarray(values["target"])
    number = sum(name.startswith("parameter") for name in values)
    parameters = [_channels_last(values[f"parameter{i}"]) for i in range(number)]
    norms = [layer.channels for layer in flat(workload.layers) if isinstance(layer, Norm)]
    averages = [value for channels in norms for value in (jnp.zeros(channels), jnp.ones(channels))]

    def loss_of(parameters: Arrays, averages: Arrays) -> Any:
        new = list(averages)
        logits = forward(workload.layers, list(parameters), new, images)
        chosen = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(logits, axis=1) - chosen).mean(), new

    def update(parameters: Arrays, velocities: Arrays, averages: Arrays) -> Any:
        (loss, averages), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, averages)
        velocities = [0.9 * v + g for v, g in zip(velocities, gradients, strict=True)]
        parameters = [p - LEARNING_RATE * v for p, v in zip(parameters, velocities, strict=True)]
        return parameters, velocities, averages, loss

    compiled = jax.jit(update, donate_argnums=(0, 1, 2))
    state: list[Any] = [parameters, [jnp.zeros_like(p) for p in parameters], averages]

    def step() -> Any:
        *state[:], loss = compiled(*state)
        jax.block_until_ready(state)
        return loss

    return Prepared(step, lambda: [float(step()) for _ in range(10)])


def _channels_last(array: Any) -> Any:
    return jnp.array(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array)


def _chain(workload: Chain, values: dict[str, Any]) -> Prepared:
    arrays = [jnp.asarray(values[name]) for name in ("input", "factor", "term")]

    def total(x: Any, factor: Any, term: Any) -> Any:
        for _ in range(workload.nodes // 2):
            x = x * factor + term
        return x.sum()

    # Not compiled: a compiled chain is one loop, and no longer a graph.
    gradient = jax.grad(total, argnums=(0, 1, 2))

    def step() -> Any:
        return jax.block_until_ready(gradient(*arrays))

    return Prepared(step, lambda: [number for array in step() for number in fingerprint(array)])


if __name__ == "__main__":
    serve(Jax())
