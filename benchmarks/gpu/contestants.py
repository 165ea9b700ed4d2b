"""Who takes part on a GPU, each in a process of the interpreter that runs this: there is no network to install from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..contestants import OURS, Contestant
from ..environments import ROOT
from ..protocol import Worker
from ..timing import Fleet
from .budget import Budget
from .workloads import CAPTURED

_TORCH = {
    "torch-eager": "eager",
    "torch-channels-last": "channels-last",
    "torch-graph": "graph",
    "torch-graph-channels-last": "graph-channels-last",
    "torch-compile": "compile",
    "torch-compile-channels-last": "compile-channels-last",
}


def contestants(device: str, without: tuple[str, ...] = ()) -> list[Contestant]:
    """Return all of them, ours first, or those that shall take part; all compute on one device."""
    ours = ("benchmarks.gpu.worker_ours", "eager", device), ("benchmarks.gpu.worker_ours", "captured", device)
    theirs = [
        Contestant(name, name, ("benchmarks.gpu.worker_torch", variant, device))
        for name, variant in _TORCH.items()
        if name not in without
    ]
    return [Contestant(OURS.name, "", ours[0]), Contestant(CAPTURED, CAPTURED, ours[1]), *theirs]


class GpuFleet(Fleet):
    """The workers, none of which is waited for longer than the run may take.

    Args:
        taking_part: who they are, see `contestants`.
        folder: takes arrays and the workers' logs.
        tell: shows a line of progress.
        budget: the time there is.
    """

    def __init__(
        self, taking_part: list[Contestant], folder: Path, tell: Callable[[str], None], budget: Budget
    ) -> None:
        super().__init__(taking_part, 1, folder, tell)
        self._budget = budget

    def start(self, contestant: Contestant, log: Path) -> Worker:
        """Start a contestant's worker."""
        return start_worker(contestant.module, log)

    def ask(self, contestant: Contestant, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Ask a contestant's worker, as `Fleet.ask` does, while there is time."""
        return super().ask(contestant, request, self._budget.at_most(timeout))


def start_worker(module: tuple[str, ...], log: Path) -> Worker:
    """Start a module of this checkout as a worker, with the interpreter that runs this."""
    return Worker([sys.executable, "-m", *module], dict(os.environ), ROOT, log)
