"""Draws tinygrad_bn's networks with tinygrad_bn."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.backend import default_generator

from .networks import HOSTILE, batch
from .serving import serve

ADAPTERS = {"drawing": ("svg", False), "page": ("html", False), "observed-page": ("html", True)}
"""Format, and whether what is computed is measured and shown: statistics by channel, gradients and their checks."""


class Chain(nn.Module):
    """Residual blocks, one after the other."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        for number in range(blocks):
            self.add_module(f"layer{number}", nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8)))

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        """Return what the last block adds up."""
        for layer in self.children():
            input = input + layer(input)
        return input


class Ours:
    """A drawing or a page."""

    def __init__(self, format: str, observe: bool) -> None:
        self.format, self.observe = format, observe

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that draw."""
        return {"tinygrad_bn": tg.__version__}

    def network(self, name: str, blocks: int) -> tuple[nn.Module, tg.Tensor]:
        """Return a network in training mode, and its input."""
        tg.manual_seed(0)
        return _model(name, blocks), tg.tensor(batch(name))

    def state(self, model: nn.Module) -> dict[str, Any]:
        """Return what a drawing should leave alone, by kind."""
        modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
        return {
            "parameters": {name: p.numpy().tobytes() for name, p in parameters.items()},
            "statistics": {name: np.asarray(buffer).tobytes() for name, buffer in model.named_buffers()},
            "gradients": {name: p.grad is not None and p.grad.numpy().tobytes() for name, p in parameters.items()},
            "mode": {name: module.training for name, module in modules.items()},
            "attributes": {name: sorted(vars(module)) for name, module in modules.items()},
            "random state": repr(default_generator.get_state()),
        }

    def draw(self, model: nn.Module, input: tg.Tensor, stem: Path) -> Path:
        """Write an SVG or an HTML page."""
        return Path(tg.viz.draw(model, input, observe=self.observe).render(stem, format=self.format))


def _model(name: str, blocks: int) -> nn.Module:
    match name:
        case "smallcnn":
            return nn.SmallCNN(order="swap", activation="tanh")
        case "watched":
            return nn.Sequential(_model("smallcnn", 0), nn.Dropout(0.5))
        case "vgg16":
            return nn.VGG(order="swap", activation="tanh")
        case "chain":
            return Chain(blocks)
    leaf = type(HOSTILE[0], (nn.Tanh,), {})
    layers = {HOSTILE[0]: nn.Conv2d(1, 4, 3), HOSTILE[1]: nn.BatchNorm2d(4), "leaf": leaf()}
    hostile: nn.Module = type(HOSTILE[1], (nn.Sequential,), {})(layers)
    return hostile


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("tool", choices=ADAPTERS)
    serve(Ours(*ADAPTERS[parser.parse_args().tool]))
