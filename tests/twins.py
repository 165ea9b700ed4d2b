"""The same network built with PyTorch, with the same weights."""

from __future__ import annotations

from typing import Any

import pytest

from tinygrad_bn import nn
from tinygrad_bn.interop import to_torch_state_dict

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

TORCH_ACTIVATIONS = {
    "tanh": torch.nn.Tanh,
    "softsign": torch.nn.Softsign,
    "sigmoid": torch.nn.Sigmoid,
    "hardtanh": torch.nn.Hardtanh,
    "hardsigmoid": torch.nn.Hardsigmoid,
    "relu6": torch.nn.ReLU6,
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "prelu": torch.nn.PReLU,
    "rrelu": torch.nn.RReLU,
    "elu": torch.nn.ELU,
    "selu": torch.nn.SELU,
    "celu": torch.nn.CELU,
    "gelu": torch.nn.GELU,
    "silu": torch.nn.SiLU,
    "mish": torch.nn.Mish,
    "softplus": torch.nn.Softplus,
    "hardswish": torch.nn.Hardswish,
    "identity": torch.nn.Identity,
}


def twin_of(module: nn.Module) -> Any:
    """Return the same network made of PyTorch's layers, children by the same names, weights copied."""
    twin = _build(module)
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch_state_dict(module).items()})
    return twin.train(module.training)


class _Net(torch.nn.Module):
    """Children called one after the other, in the order of registration."""

    def forward(self, x: Any) -> Any:
        for child in self.children():
            x = child(x)
        return x


def _build(module: nn.Module) -> Any:
    kind = type(module).__name__
    if isinstance(module, nn.Conv2d):
        twin: Any = torch.nn.Conv2d(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            module.stride,
            module.padding,
            module.dilation,
            module.groups,
            module.bias is not None,
        )
    elif isinstance(module, nn.Linear):
        twin = torch.nn.Linear(module.in_features, module.out_features, module.bias is not None)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        twin = getattr(torch.nn, kind)(module.num_features, module.eps, module.momentum)
    elif isinstance(module, nn.MaxPool2d):
        twin = torch.nn.MaxPool2d(module.kernel_size, module.stride)
    elif isinstance(module, nn.AdaptiveAvgPool2d):
        twin = torch.nn.AdaptiveAvgPool2d(module.output_size)
    elif list(module.children()) or isinstance(module, nn.Sequential):
        twin = _Net()
        for name, child in module.named_children():
            twin.add_module(name, _build(child))
    else:
        twin = getattr(torch.nn, kind)()
    first = next(module.parameters(), None)
    return twin if first is None else twin.to(getattr(torch, str(first.dtype)))
