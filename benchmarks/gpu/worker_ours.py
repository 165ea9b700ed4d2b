"""Runs workloads with tinygrad_bn on a GPU: as they are called, or captured."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import tinygrad_bn as tg
from tinygrad_bn.kernels import kernels_of

from ..serving import Prepared, serve
from ..worker_ours import Ours
from ..workloads import Chain, Update, Workload
from .workloads import find

VARIANTS = ("eager", "captured")


class OursOnGpu(Ours):
    """This project with convolutions chosen by the clock, as PyTorch chooses its own here.

    Args:
        variant: one of VARIANTS.
        device: "cuda", but for a rehearsal.
    """

    channels_last = ("input", "gradient", "weight")

    def __init__(self, variant: str, device: str) -> None:
        tg.set_default_device(device)
        tg.set_cudnn_benchmark(True)
        self._captures = variant == "captured"
        self.calls = 5 if self._captures else 1  # three as they are, one that is recorded, one that is a replay

    def repeatable(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return the step, captured in that variant."""
        return tg.capture(step) if self._captures else step

    def finish(self) -> None:
        """Wait until the GPU is done."""
        if tg.get_default_device().name != "cpu":
            tg.cuda.synchronize()

    def about(self) -> dict[str, Any]:
        """Return versions and settings."""
        device = tg.get_default_device()
        kernels = kernels_of(device)
        versions = super().about()["versions"] | {device.xp.__name__: device.xp.__version__}
        return {"versions": versions, "device": str(device), "kernels": kernels.name}

    def prepare(self, workload: Workload, values: dict[str, Any]) -> Prepared:
        """Build a workload from its arrays, on the GPU."""
        if not isinstance(workload, Update | Chain):
            tg.set_float32_matmul_precision("high" if workload.precision == "tf32" else "highest")
        return super().prepare(workload, values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("device")
    options = parser.parse_args()
    serve(OursOnGpu(options.variant, options.device), find)
