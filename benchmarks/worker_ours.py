"""Runs workloads with tinygrad_bn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn
from tinygrad_bn.kernels import kernels_of

from .arrays import fingerprint, turned
from .serving import Prepared, serve
from .workloads import LEARNING_RATE, UPDATES_COMPARED, Chain, Network, Operation, Update, Workload


class Ours:
    """This project, as a user has it after `make compare`."""

    channels_last: tuple[str, ...] = ("input", "gradient")
    """Which arrays of an operation lie in memory in this order, as a network's layers hand them on."""

    calls = 1
    """How often a step is called before its results are looked at."""

    def repeatable(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of tensors as it is to be called again and again."""
        return step

    def finish(self) -> None:
        """Wait until all work is done."""

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
            return self._training(workload, values) if workload.mode == "train" else _inference(workload, values)
        if isinstance(workload, Operation):
            return self._operation(workload, values)
        return self._update(workload, values) if isinstance(workload, Update) else self._chain(workload, values)

    def _training(self, workload: Network, values: dict[str, Any]) -> Prepared:
        model = _filled(workload, values)
        images, labels = tg.tensor(values["input"]), tg.tensor(values["target"])
        optimizer = tg.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)

        def step(images: tg.Tensor, labels: tg.Tensor) -> tg.Tensor:
            optimizer.zero_grad()
            with tg.autocast("bfloat16") if workload.precision == "bfloat16" else nullcontext():
                loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            return loss

        run = partial(self.repeatable(step), images, labels)
        return Prepared(run, lambda: [run().item() for _ in range(10)], finish=self.finish)

    def _operation(self, workload: Operation, values: dict[str, Any]) -> Prepared:
        sets = [_Call(workload, turned(values, number), self.channels_last) for number in range(workload.sets)]

        def every(_: tg.Tensor) -> None:
            for call in sets:
                call.both() if workload.backward else call.function()

        run = partial(self.repeatable(every), tg.zeros(1))

        def results() -> list[float]:
            for _ in range(self.calls):
                run()
            outputs = {"output": sets[0].function().numpy()} | (sets[0].grads() if workload.backward else {})
            return [number for array in outputs.values() for number in fingerprint(array)]

        return Prepared(run, results, sets[0].outputs, self.finish, workload.sets)

    def _update(self, workload: Update, values: dict[str, Any]) -> Prepared:
        parameters = [tg.tensor(values[f"parameter{i}"], requires_grad=True) for i in range(len(workload.shapes))]
        for i, parameter in enumerate(parameters):
            parameter.grad = tg.tensor(values[f"gradient{i}"])
        if workload.optimizer == "sgd":
            optimizer: Any = tg.optim.SGD(parameters, lr=1e-4, momentum=0.9)
        else:
            optimizer = tg.optim.Adam(parameters, lr=1e-4)
        run = partial(self.repeatable(lambda _: optimizer.step()), tg.zeros(1))

        def results() -> list[float]:
            for _ in range(UPDATES_COMPARED):
                run()
            return [number for parameter in parameters for number in fingerprint(parameter.numpy())]

        return Prepared(run, results, finish=self.finish)

    def _chain(self, workload: Chain, values: dict[str, Any]) -> Prepared:
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

        return Prepared(step, results, finish=self.finish)


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


def _channels_last(array: Any, dtype: str | None) -> tg.Tensor:
    """Return a tensor, channels-last in memory where it has four axes."""
    if array.ndim != 4:
        return tg.tensor(array, dtype=dtype)
    return tg.tensor(array.transpose(0, 2, 3, 1), dtype=dtype).transpose(0, 3, 1, 2).detach()


class _Call:
    """An operation on one set of inputs."""

    def __init__(self, workload: Operation, values: dict[str, Any], channels_last: tuple[str, ...]) -> None:
        dtype = "bfloat16" if workload.precision == "bfloat16" else None
        tensors = {
            name: (_channels_last if name in channels_last else tg.tensor)(values[name], dtype=dtype)
            for name in (*workload.inputs, "gradient")
        }
        self.gradient = tensors.pop("gradient")
        self.inputs = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
        others = {"target": tg.tensor(values["target"])} if "target" in values else {}
        self.function = partial(_OPERATIONS[workload.operation], **self.inputs, **others, **workload.settings)

    def both(self) -> tg.Tensor:
        """Return the output of the forward pass, after the backward pass."""
        for tensor in self.inputs.values():
            tensor.grad = None
        output: tg.Tensor = self.function()
        output.backward(self.gradient)
        return output

    def outputs(self) -> dict[str, Any]:
        """Return what both passes compute, by name."""
        return {"output": self.both().numpy()} | self.grads()

    def grads(self) -> dict[str, Any]:
        """Return the gradients of the last backward pass, by the inputs' names."""
        return {name: tensor.grad.numpy() for name, tensor in self.inputs.items()}


if __name__ == "__main__":
    serve(Ours())
