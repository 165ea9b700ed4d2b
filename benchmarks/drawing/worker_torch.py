"""Draws PyTorch's networks with each tool for them."""

from __future__ import annotations

import argparse
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from . import networks_torch
from .serving import Adapter, serve


class TorchTool:
    """What all tools for PyTorch share."""

    packages: tuple[str, ...]

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that draw."""
        return {package: metadata.version(package) for package in (*self.packages, "torch")}

    def network(self, name: str, blocks: int) -> tuple[Any, Any]:
        """Return a network and its input."""
        return networks_torch.network(name, blocks)

    def state(self, model: Any) -> dict[str, Any]:
        """Return what a drawing should leave alone, by kind."""
        modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
        hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
        return {
            "parameters": {name: p.detach().numpy().tobytes() for name, p in parameters.items()},
            "statistics": {name: buffer.numpy().tobytes() for name, buffer in model.named_buffers()},
            "gradients": {name: p.grad is not None and p.grad.numpy().tobytes() for name, p in parameters.items()},
            "mode": {name: module.training for name, module in modules.items()},
            "attributes": {name: sorted(vars(module)) for name, module in modules.items()},
            "hooks": {name: [len(getattr(module, kind)) for kind in hooks] for name, module in modules.items()},
            "random state": torch.random.get_rng_state().numpy().tobytes(),
        }


class Torchviz(TorchTool):
    """The autograd graph of the sum of the outputs."""

    packages = ("torchviz",)

    def draw(self, model: Any, input: Any, stem: Path) -> Path:
        """Write an SVG."""
        from torchviz import make_dot

        dot = make_dot(model(input).sum(), params=dict(model.named_parameters()))
        return Path(dot.render(str(stem), format="svg"))


class Torchview(TorchTool):
    """Every module and operation."""

    packages = ("torchview",)

    def draw(self, model: Any, input: Any, stem: Path) -> Path:
        """Write an SVG."""
        from torchview import draw_graph

        dot = draw_graph(model, input_data=input, depth=4, expand_nested=True).visual_graph
        return Path(dot.render(str(stem), format="svg"))


class TorchLens(TorchTool):
    """Its picture."""

    packages = ("torchlens",)

    def draw(self, model: Any, input: Any, stem: Path) -> Path:
        """Write an SVG."""
        import torchlens

        torchlens.trace(model, input).draw(vis_outpath=str(stem), vis_fileformat="svg", vis_save_only=True)
        return stem.with_suffix(".svg")


class TorchLensPage(TorchLens):
    """Its page."""

    def draw(self, model: Any, input: Any, stem: Path) -> Path:
        """Write an HTML page."""
        import torchlens

        path = stem.with_suffix(".html")
        # Folding the chain of 1000 operations did not end in two minutes.
        graph = "flat" if len(list(model.modules())) > 200 else "collapsed"
        torchlens.export.html(torchlens.trace(model, input), str(path), graph=graph)
        return path


class Torchvista(TorchTool):
    """Its page, opened as far as it starts with."""

    packages = ("torchvista",)

    def draw(self, model: Any, input: Any, stem: Path) -> Path:
        """Write an HTML page."""
        from torchvista import trace_model

        path = stem.with_suffix(".html")
        trace_model(model, input, export_path=str(path), collapse_modules_after_depth=2, show_module_attr_names=True)
        return path


class Netron(TorchTool):
    """A viewer of files: what is made is a file of PyTorch's exporter with its defaults."""

    packages = ("netron", "onnx")

    def draw(self, model: Any, input: Any, stem: Path) -> Path:
        """Write an ONNX file."""
        path = stem.with_suffix(".onnx")
        torch.onnx.export(model, (input,), str(path), external_data=False, verbose=False)
        return path


class NetronOlderExporter(Netron):
    """The exporter that keeps the names of modules and, told so, BatchNorm in training."""

    def draw(self, model: Any, input: Any, stem: Path) -> Path:
        """Write an ONNX file."""
        path = stem.with_suffix(".onnx")
        training = torch.onnx.TrainingMode.TRAINING
        torch.onnx.export(model, (input,), str(path), dynamo=False, do_constant_folding=False, training=training)
        return path


ADAPTERS: dict[str, type[Adapter]] = {
    "torchviz": Torchviz,
    "torchview": Torchview,
    "torchlens": TorchLens,
    "torchlens-page": TorchLensPage,
    "torchvista": Torchvista,
    "netron": Netron,
    "netron-older": NetronOlderExporter,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("tool", choices=ADAPTERS)
    torch.set_num_threads(1)
    serve(ADAPTERS[parser.parse_args().tool]())
