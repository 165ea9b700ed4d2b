"""Runs workloads with tinygrad_bn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.kernels import kernels_of

from .arrays import fingerprint
from .serving import Prepared, serve
from .workloads import LEARNING_RATE, Chain, Network, Operation, Update, Workload


class Ours:
    """This project, as a user has it after `make compare`."""

    def about(self) -> dict[str, Any]:
        """Return versions and settings."""
        kernels = type(kernels_of(tg.get_device("cpu"))).__module__.split(".")
        return {
            "versions": {"tinygrad_bn": tg.__version__, "numpy": np.__version__},
            "threads": tg.get_num_threads(),
            "kernels": kernels[2],
        }

    def prepare(self, workload: Workload, values: dict[str, Any]) -> Prepared:
        """Build a workload from its arrays."""
        if isinstance(workload, Network):
            return _training(workload, values) if workload.mode == "train" else _inference(workload, values)
        if isinstance(workload, Operation):
            return _operation(workload, values)
        return _update(workload, values) if isinstance(workload, Update) else _chain(workload, values)


class ResidualChain(nn.Module):
    """Residual blocks in a row, between a first block and a classifier."""

    def __init__(self, blocks: int, width: int) -> None:
        super().__init__()
        self.stem = nn.ConvBlock(1, width, 3, padding=1)
        self.blocks = nn.Sequential(*(nn.ResidualBlock(width, width) for _ in range(blocks)))
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        """Return logits (N, 10)."""
        logits: tg.Tensor = self.classifier(self.blocks(self.stem(input)))
        return logits


def build(workload: Network) -> nn.Module:
    """Return the workload's model with weights of its own."""
    if workload.model == "residual_chain":
        return ResidualChain(**workload.settings)
    return nn.build_model(workload.model, **workload.settings)


def _filled(workload: Network, values: dict[str, Any]) -> nn.Module:
    model = build(workload)
    with tg.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.assign_(values[f"parameter{i}"])
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for i, norm in enumerate(norms if "mean0" in values else []):
        norm.load_state_dict(norm.state_dict() | {"running_mean": values[f"mean{i}"], "running_var": values[f"var{i}"]})
    return model


def _training(workload: Network, values: dict[str, Any]) -> Prepared:
    model = _filled(workload, values)
    images, labels = tg.tensor(values["input"]), tg.tensor(values["target"])
    optimizer = tg.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)

    def step() -> tg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return Prepared(step, lambda: [step().item() for _ in range(10)])


def _inference(workload: Network, values: dict[str, Any]) -> Prepared:
    model = _filled(workload, values).eval()
    if workload.mode == "folded":
        model = nn.fold_batch_norm(model)
    images = tg.tensor(values["input"])

    def step() -> tg.Tensor:
        with tg.no_grad():
            logits: tg.Tensor = model(images)
            return logits

    return Prepared(step, lambda: fingerprint(step().numpy()))


def _norm_act(input: tg.Tensor, weight: tg.Tensor, bias: tg.Tensor, activation: str) -> tg.Tensor:
    return F.norm_act(input, None, None, weight, bias, training=True, activation=activation, order="convention")


def _act_norm(input: tg.Tensor, weight: tg.Tensor, bias: tg.Tensor, activation: str) -> tg.Tensor:
    return F.norm_act(input, None, None, weight, bias, training=True, activation=activation, order="swap")


_OPERATIONS: dict[str, Callable[..., tg.Tensor]] = {
    "conv2d": F.conv2d,
    "batch_norm": lambda input, weight, bias: F.batch_norm(input, None, None, weight, bias, training=True),
    "norm_act": _norm_act,
    "act_norm": _act_norm,
    "relu": F.relu,
    "tanh": F.tanh,
    "max_pool2d": partial(F.max_pool2d, kernel_size=2),
    "avg_pool2d": partial(F.avg_pool2d, kernel_size=2),
    "linear": F.linear,
    "cross_entropy": F.cross_entropy,
}


def _channels_last(array: Any) -> Any:
    """Return images in the memory layout in which the layers of a network hand them on; other arrays as they are."""
    return array if array.ndim != 4 else np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def _operation(workload: Operation, values: dict[str, Any]) -> Prepared:
    values = values | {name: _channels_last(values[name]) for name in ("input", "gradient")}
    inputs = {name: tg.tensor(values[name], requires_grad=True) for name in workload.inputs}
    others = {"target": tg.tensor(values["target"])} if "target" in values else {}
    gradient = tg.tensor(values["gradient"])
    function = partial(_OPERATIONS[workload.operation], **inputs, **others, **workload.settings)

    def both() -> tg.Tensor:
        for tensor in inputs.values():
            tensor.grad = None
        output = function()
        output.backward(gradient)
        return output

    def outputs() -> dict[str, Any]:
        output = both()
        return {"output": output.numpy(), **{name: tensor.grad.numpy() for name, tensor in inputs.items()}}

    def results() -> list[float]:
        return [number for array in outputs().values() for number in fingerprint(array)]

    return Prepared(both if workload.backward else function, results, outputs)


def _update(workload: Update, values: dict[str, Any]) -> Prepared:
    parameters = [tg.tensor(values[f"parameter{i}"], requires_grad=True) for i in range(len(workload.shapes))]
    for i, parameter in enumerate(parameters):
        parameter.grad = tg.tensor(values[f"gradient{i}"])
    if workload.optimizer == "sgd":
        optimizer: Any = tg.optim.SGD(parameters, lr=1e-4, momentum=0.9)
    else:
        optimizer = tg.optim.Adam(parameters, lr=1e-4)

    def results() -> list[float]:
        for _ in range(3):
            optimizer.step()
        return [number for parameter in parameters for number in fingerprint(parameter.numpy())]

    return Prepared(optimizer.step, results)


def _chain(workload: Chain, values: dict[str, Any]) -> Prepared:
    start, factor, term = (tg.tensor(values[name], requires_grad=True) for name in ("input", "factor", "term"))

    def step() -> None:
        for tensor in (start, factor, term):
            tensor.grad = None
        x = start
        for _ in range(workload.nodes // 2):
            x = x * factor + term
        x.sum().backward()

    def results() -> list[float]:
        step()
        return [number for tensor in (start, factor, term) for number in fingerprint(tensor.grad.numpy())]

    return Prepared(step, results)


if __name__ == "__main__":
    serve(Ours())
