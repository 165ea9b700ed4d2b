"""Runs workloads with Chainer on NumPy. Needs NumPy and Chainer alone."""

from __future__ import annotations

import os
import warnings
from typing import Any

os.environ["CHAINER_TYPE_CHECK"] = "0"  # as its documents advise for speed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import chainer
    from chainer import functions as F
    from chainer import links as L
import numpy as np

from .arrays import fingerprint
from .layers import Activation, Conv, Flatten, Layers, Linear, MaxPool, Mean, Norm, Residual, flat
from .serving import Prepared, serve
from .workloads import LEARNING_RATE, Chain, Network, Workload


class Chainer:
    """Chainer 7 on NumPy arrays."""

    def about(self) -> dict[str, Any]:
        """Return versions and settings."""
        versions = {"chainer": chainer.__version__, "numpy": np.__version__}
        return {"versions": versions, "threads": int(os.environ["OMP_NUM_THREADS"])}

    def prepare(self, workload: Workload, values: dict[str, Any]) -> Prepared:
        """Build a workload from its arrays."""
        if isinstance(workload, Network) and workload.mode == "train":
            return _training(workload, values)
        if isinstance(workload, Chain):
            return _chain(workload, values)
        raise NotImplementedError(workload.name)


def make_links(layers: Layers, values: dict[str, Any]) -> Any:
    """Return links with the given parameters for all layers that have any."""
    links = chainer.ChainList()
    number = 0
    for layer in flat(layers):
        link: Any = None
        if isinstance(layer, Conv):
            link = L.Convolution2D(
                layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding, groups=layer.groups
            )
        elif isinstance(layer, Linear):
            link = L.Linear(layer.inputs, layer.outputs)
        elif isinstance(layer, Norm):
            link = L.BatchNormalization(layer.channels, decay=0.9, eps=1e-5)
        if link is not None:
            weight, bias = (link.gamma, link.beta) if isinstance(layer, Norm) else (link.W, link.b)
            weight.array, bias.array = values[f"parameter{number}"], values[f"parameter{number + 1}"]
            number += 2
            links.add_link(link)
    return links


def forward(layers: Layers, links: Any, x: Any) -> Any:
    """Return the network's output; links are taken from an iterator."""
    for layer in layers:
        match layer:
            case Conv() | Linear() | Norm():
                x = next(links)(x)
            case Activation(name):
                x = F.relu(x) if name == "relu" else F.tanh(x)
            case MaxPool():
                x = F.max_pooling_2d(x, 2)
            case Mean():
                x = F.mean(x, axis=(2, 3))
            case Flatten():
                x = F.reshape(x, (len(x), -1))
            case Residual(branch, stride, extra):
                shortcut = F.pad(x[:, :, ::stride, ::stride], ((0, 0), (0, extra), (0, 0), (0, 0)), "constant")
                x = shortcut + forward(branch, links, x)
    return x


def _training(workload: Network, values: dict[str, Any]) -> Prepared:
    links = make_links(workload.layers, values)
    optimizer = chainer.optimizers.MomentumSGD(LEARNING_RATE, 0.9).setup(links)
    images, labels = values["input"], values["target"].astype(np.int32)

    def step() -> Any:
        links.cleargrads()
        loss = F.softmax_cross_entropy(forward(workload.layers, iter(links), images), labels)
        loss.backward()
        optimizer.update()
        return loss

    return Prepared(step, lambda: [float(step().array) for _ in range(10)])


def _chain(workload: Chain, values: dict[str, Any]) -> Prepared:
    variables = [chainer.Variable(values[name]) for name in ("input", "factor", "term")]
    start, factor, term = variables

    def step() -> None:
        for variable in variables:
            variable.cleargrad()
        x = start
        for _ in range(workload.nodes // 2):
            x = x * factor + term
        F.sum(x).backward()

    def results() -> list[float]:
        step()
        return [number for variable in variables for number in fingerprint(variable.grad)]

    return Prepared(step, results)


if __name__ == "__main__":
    serve(Chainer())
