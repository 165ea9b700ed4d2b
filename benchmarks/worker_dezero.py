"""Runs workloads with DeZero. Needs NumPy and DeZero alone."""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import dezero
    from dezero import functions as F
import numpy as np

from .arrays import fingerprint
from .layers import Activation, Conv, Flatten, Layers, Linear, MaxPool, Norm
from .serving import Prepared, serve
from .workloads import LEARNING_RATE, Chain, Network, Workload


class DeZero:
    """DeZero on NumPy arrays."""

    def about(self) -> dict[str, Any]:
        """Return versions and settings."""
        versions = {"dezero": importlib.metadata.version("dezero"), "numpy": np.__version__}
        return {"versions": versions, "threads": int(os.environ["OMP_NUM_THREADS"])}

    def prepare(self, workload: Workload, values: dict[str, Any]) -> Prepared:
        """Build a workload from its arrays."""
        if isinstance(workload, Network) and workload.mode == "train":
            return _training(workload, values)
        if isinstance(workload, Chain):
            return _chain(workload, values)
        raise NotImplementedError(workload.name)


class Model(dezero.Model):  # type: ignore[misc]
    """The network, with the parameters of its layers in two lists."""

    def __init__(self, layers: Layers, values: dict[str, Any]) -> None:
        super().__init__()
        self.layers = layers
        count = sum(name.startswith("parameter") for name in values)
        self.numbered = [dezero.Parameter(values[f"parameter{i}"], f"parameter{i}") for i in range(count)]
        for parameter in self.numbered:
            setattr(self, parameter.name, parameter)  # so that DeZero finds it
        norms = [layer for layer in layers if isinstance(layer, Norm)]
        self.averages = [(np.zeros(norm.channels, np.float32), np.ones(norm.channels, np.float32)) for norm in norms]

    def forward(self, x: Any) -> Any:
        """Return the network's output."""
        parameters, averages = iter(self.numbered), iter(self.averages)
        for layer in self.layers:
            match layer:
                case Conv():
                    x = F.conv2d(x, next(parameters), next(parameters), layer.stride, layer.padding)
                case Linear():
                    x = F.linear(x, F.transpose(next(parameters)), next(parameters))
                case Norm():
                    x = F.batch_nrom(x, next(parameters), next(parameters), *next(averages), decay=0.9, eps=1e-5)
                case Activation(name):
                    x = F.relu(x) if name == "relu" else F.tanh(x)
                case MaxPool():
                    x = F.pooling(x, 2, 2)
                case Flatten():
                    x = F.reshape(x, (len(x), -1))
                case _:
                    raise NotImplementedError(type(layer).__name__)
        return x


def _training(workload: Network, values: dict[str, Any]) -> Prepared:
    model = Model(workload.layers, values)
    optimizer = dezero.optimizers.MomentumSGD(LEARNING_RATE, 0.9).setup(model)
    images, labels = dezero.Variable(values["input"]), values["target"]

    def step() -> Any:
        model.cleargrads()
        loss = F.softmax_cross_entropy(model(images), labels)
        loss.backward()
        optimizer.update()
        return loss

    return Prepared(step, lambda: [float(step().data) for _ in range(10)])


def _chain(workload: Chain, values: dict[str, Any]) -> Prepared:
    variables = [dezero.Variable(values[name]) for name in ("input", "factor", "term")]
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
        return [number for variable in variables for number in fingerprint(variable.grad.data)]

    return Prepared(step, results)


if __name__ == "__main__":
    serve(DeZero())
