"""Runs workloads with PyTorch on a GPU: eagerly, as CUDA graphs, or compiled; each in either memory layout."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..serving import Prepared, serve
from ..worker_torch import Torch
from ..workloads import Chain, Update, Workload
from .workloads import find

VARIANTS = ("eager", "channels-last", "graph", "graph-channels-last", "compile", "compile-channels-last")


class TorchOnGpu(Torch):
    """PyTorch with its best known settings for a GPU.

    Args:
        variant: one of VARIANTS: without "channels-last" arrays lie in PyTorch's own order, NCHW.
        device: "cuda", but for a rehearsal.
    """

    def __init__(self, variant: str, device: str) -> None:
        self.device = device
        self.compiled = variant.startswith("compile")
        self.layout = torch.channels_last if variant.endswith("channels-last") else torch.contiguous_format
        self._replays = variant.startswith("graph") and device != "cpu"
        torch.backends.cudnn.benchmark = True

    def about(self) -> dict[str, Any]:
        """Return versions and settings."""
        return {
            "versions": {"torch": torch.__version__, "numpy": np.__version__},
            "device": self.device,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }

    def prepare(self, workload: Workload, values: dict[str, Any]) -> Prepared:
        """Build a workload from its arrays, on the GPU."""
        if not isinstance(workload, Update | Chain):
            coarse = workload.precision == "tf32"
            torch.set_float32_matmul_precision("high" if coarse else "highest")
            torch.backends.cudnn.allow_tf32 = coarse
        return super().prepare(workload, values)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, compiled in that variant, with CUDA graphs in place of single calls."""
        return torch.compile(function, mode="reduce-overhead") if self.compiled else function

    def casting(self, precision: str) -> Any:
        """Return the context in which a network computes."""
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=precision == "bfloat16")

    def finish(self) -> None:
        """Wait until the GPU is done."""
        if self.device != "cpu":
            torch.cuda.synchronize()

    def repeatable(self, step: Callable[[], Any]) -> Callable[[], Any]:
        """Return the step, in the variant "graph" as a CUDA graph that is replayed."""
        if not self._replays:
            return step
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        replay: Callable[[], Any] = graph.replay
        return replay


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("device")
    options = parser.parse_args()
    serve(TorchOnGpu(options.variant, options.device), find)
