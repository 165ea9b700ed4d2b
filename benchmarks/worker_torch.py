"""Runs workloads with PyTorch: eagerly in either memory layout, or compiled. Needs NumPy and PyTorch alone."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .arrays import fingerprint, turned
from .layers import Activation, Conv, Flatten, Layers, Linear, MaxPool, Mean, Norm, Residual
from .serving import Prepared, serve
from .workloads import LEARNING_RATE, UPDATES_COMPARED, Chain, Network, Operation, Update, Workload

VARIANTS = ("eager", "channels-last", "compile")


class Torch:
    """PyTorch with its best known settings for the CPU.

    Args:
        variant: "eager" (NCHW), "channels-last" (eager, model and images in that layout), or "compile".
        threads: of each operation.
    """

    device = "cpu"
    calls = 1
    """How often a step is called before its results are looked at."""

    def __init__(self, variant: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.compiled = variant == "compile"
        self.layout = torch.contiguous_format if variant == "eager" else torch.channels_last
        if self.compiled:
            torch._inductor.config.freezing = True  # for inference: weights are constants, BatchNorm is folded

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is called in place of a function or a model."""
        return torch.compile(function) if self.compiled else function

    def repeatable(self, step: Callable[[], Any]) -> Callable[[], Any]:
        """Return a step as it is to be called again and again."""
        return step

    def casting(self, precision: str) -> Any:
        """Return the context in which a network computes."""
        return nullcontext()

    def finish(self) -> None:
        """Wait until all work is done."""

    def about(self) -> dict[str, Any]:
        """Return versions and settings."""
        return {
            "versions": {"torch": torch.__version__, "numpy": np.__version__},
            "threads": torch.get_num_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }

    def prepare(self, workload: Workload, values: dict[str, Any]) -> Prepared:
        """Build a workload from its arrays."""
        if self.compiled:
            torch._dynamo.reset()
        if isinstance(workload, Network):
            prepare = self._training if workload.mode == "train" else self._inference
            return prepare(workload, values)
        if isinstance(workload, Operation):
            return self._operation(workload, values)
        return self._update(workload, values) if isinstance(workload, Update) else self._chain(workload, values)

    def _tensor(self, array: Any, precision: str = "float32") -> Any:
        tensor = torch.tensor(array, device=self.device)
        tensor = tensor.bfloat16() if precision == "bfloat16" else tensor
        return tensor.to(memory_format=self.layout) if tensor.ndim == 4 else tensor

    def _training(self, workload: Network, values: dict[str, Any]) -> Prepared:
        model = _filled(workload, values).to(self.device, memory_format=self.layout)
        images, labels = self._tensor(values["input"]), self._tensor(values["target"])
        optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, fused=True)

        def loss_of(images: Any, labels: Any) -> Any:
            with self.casting(workload.precision):
                return F.cross_entropy(model(images), labels)

        function = self.compile(loss_of)

        def step() -> Any:
            optimizer.zero_grad(set_to_none=True)
            loss = function(images, labels)
            loss.backward()
            optimizer.step()
            return loss

        return Prepared(step, lambda: [step().item() for _ in range(10)], finish=self.finish)

    def _inference(self, workload: Network, values: dict[str, Any]) -> Prepared:
        model = _filled(workload, values).eval()
        if workload.mode == "folded":
            model = _folded(model)
        model = model.to(self.device, memory_format=self.layout)
        images = self._tensor(values["input"])
        function = self.compile(model)
        # The compiler freezes weights only under no_grad; eagerly inference_mode is the quicker of the two.
        mode = torch.no_grad if self.compiled else torch.inference_mode

        def step() -> Any:
            with mode():
                return function(images)

        return Prepared(step, lambda: fingerprint(_numpy(step())), finish=self.finish)

    def _operation(self, workload: Operation, values: dict[str, Any]) -> Prepared:
        sets = [self._call(workload, turned(values, number)) for number in range(workload.sets)]

        def every() -> None:
            for call in sets:
                call.both() if workload.backward else call.function()

        run = self.repeatable(every)

        def results() -> list[float]:
            for _ in range(self.calls):
                run()
            outputs = {"output": _numpy(sets[0].function())} | (sets[0].grads() if workload.backward else {})
            return [number for array in outputs.values() for number in fingerprint(array)]

        return Prepared(run, results, sets[0].outputs, self.finish, workload.sets)

    def _call(self, workload: Operation, values: dict[str, Any]) -> _Call:
        inputs = {name: self._tensor(values[name], workload.precision).requires_grad_() for name in workload.inputs}
        others = {"target": self._tensor(values["target"])} if "target" in values else {}
        function = partial(_OPERATIONS[workload.operation], **inputs, **others, **workload.settings)
        return _Call(inputs, function, self._tensor(values["gradient"], workload.precision))

    def _update(self, workload: Update, values: dict[str, Any]) -> Prepared:
        parameters = [self._tensor(values[f"parameter{i}"]).requires_grad_() for i in range(len(workload.shapes))]
        for i, parameter in enumerate(parameters):
            parameter.grad = self._tensor(values[f"gradient{i}"])
        if workload.optimizer == "sgd":
            optimizer: Any = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, fused=True)
        else:
            optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)

        def results() -> list[float]:
            for _ in range(UPDATES_COMPARED):
                optimizer.step()
            return [number for parameter in parameters for number in fingerprint(_numpy(parameter))]

        return Prepared(optimizer.step, results, finish=self.finish)

    def _chain(self, workload: Chain, values: dict[str, Any]) -> Prepared:
        start, factor, term = (self._tensor(values[name]).requires_grad_() for name in ("input", "factor", "term"))

        def step() -> None:
            for tensor in (start, factor, term):
                tensor.grad = None
            x = start
            for _ in range(workload.nodes // 2):
                x = x * factor + term
            x.sum().backward()

        def results() -> list[float]:
            step()
            return [number for tensor in (start, factor, term) for number in fingerprint(_numpy(tensor.grad))]

        return Prepared(step, results, finish=self.finish)


@dataclass
class _Call:
    """An operation on one set of inputs."""

    inputs: dict[str, Any]
    function: Callable[[], Any]
    gradient: Any

    def both(self) -> Any:
        """Return the output of the forward pass, after the backward pass."""
        for tensor in self.inputs.values():
            tensor.grad = None
        output = self.function()
        output.backward(self.gradient)
        return output

    def outputs(self) -> dict[str, Any]:
        """Return what both passes compute, by name."""
        return {"output": _numpy(self.both())} | self.grads()

    def grads(self) -> dict[str, Any]:
        """Return the gradients of the last backward pass, by the inputs' names."""
        return {name: _numpy(tensor.grad) for name, tensor in self.inputs.items()}


def _numpy(tensor: Any) -> Any:
    """Return the values as a NumPy array; it has no bfloat16."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(force=True)


class ResidualBranch(torch.nn.Module):  # type: ignore[misc]
    """A branch plus the input, subsampled and padded with channels of zeros."""

    def __init__(self, residual: Residual) -> None:
        super().__init__()
        self.branch = network(residual.branch)
        self.stride = residual.stride
        self.extra_channels = residual.extra_channels

    def forward(self, input: Any) -> Any:
        """Return branch plus shortcut."""
        shortcut = input if self.stride == 1 else input[:, :, :: self.stride, :: self.stride]
        if self.extra_channels:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.extra_channels))
        return self.branch(input) + shortcut


def network(layers: Layers) -> Any:
    """Return the network as a torch.nn.Sequential."""
    modules: list[Any] = []
    features = False  # whether images have become rows of features
    for layer in layers:
        match layer:
            case Conv(inputs, outputs, kernel, stride, groups):
                modules.append(torch.nn.Conv2d(inputs, outputs, kernel, stride, layer.padding, groups=groups))
            case Linear(inputs, outputs):
                modules.append(torch.nn.Linear(inputs, outputs))
            case Norm(channels):
                modules.append((torch.nn.BatchNorm1d if features else torch.nn.BatchNorm2d)(channels))
            case Activation(name):
                modules.append(torch.nn.ReLU(inplace=True) if name == "relu" else torch.nn.Tanh())
            case MaxPool():
                modules.append(torch.nn.MaxPool2d(2))
            case Mean():
                modules += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
            case Flatten():
                modules.append(torch.nn.Flatten())
            case Residual():
                modules.append(ResidualBranch(layer))
        features = features or isinstance(layer, Mean | Flatten)
    return torch.nn.Sequential(*modules)


def _filled(workload: Network, values: dict[str, Any]) -> Any:
    model = network(workload.layers)
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.tensor(values[f"parameter{i}"]))
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)]
    for i, norm in enumerate(norms if "mean0" in values else []):
        norm.running_mean.copy_(torch.tensor(values[f"mean{i}"]))
        norm.running_var.copy_(torch.tensor(values[f"var{i}"]))
    return model


def _folded(model: Any) -> Any:
    """Return a Sequential in evaluation mode, BatchNorms right behind convolutions folded into their weights."""
    modules: list[Any] = []
    for module in model:
        if isinstance(module, torch.nn.BatchNorm2d) and modules and isinstance(modules[-1], torch.nn.Conv2d):
            modules[-1] = fuse_conv_bn_eval(modules[-1], module)
        else:
            modules.append(module)
    return torch.nn.Sequential(*modules).eval()


def _batch_norm(input: Any, weight: Any, bias: Any) -> Any:
    return F.batch_norm(input, None, None, weight, bias, training=True)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "conv2d": F.conv2d,
    "batch_norm": _batch_norm,
    "norm_act": lambda input, weight, bias, activation: getattr(torch, activation)(_batch_norm(input, weight, bias)),
    "act_norm": lambda input, weight, bias, activation: _batch_norm(getattr(torch, activation)(input), weight, bias),
    "relu": torch.relu,
    "tanh": torch.tanh,
    "max_pool2d": partial(F.max_pool2d, kernel_size=2),
    "avg_pool2d": partial(F.avg_pool2d, kernel_size=2),
    "linear": F.linear,
    "cross_entropy": F.cross_entropy,
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("variant", choices=VARIANTS)
    serve(Torch(parser.parse_args().variant, int(os.environ["OMP_NUM_THREADS"])))
