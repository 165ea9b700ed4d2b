"""Who is measured, and how its worker is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import environments
from ..protocol import Worker

ENVIRONMENT = "graphs"
VERSIONS = Path(__file__).with_name("versions.txt")
CONSTRAINED = ("--constraint", str(VERSIONS))
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TINYGRAD_BN_THREADS"), "1")


@dataclass(frozen=True)
class Tool:
    """A tool in one of its forms.

    Args:
        name: for the command line and the tables.
        module: the worker, and its arguments.
        node: a CSS selector of the first thing that a reader sees.
        packages: what pip is asked for; none means the environment of the driver.
        stand_ins: packages that may draw where there is no program `dot`.
    """

    name: str
    module: tuple[str, ...]
    node: str = "svg"
    packages: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()


_OURS, _TORCH = "benchmarks.drawing.worker_ours", "benchmarks.drawing.worker_torch"
_EXPORTER = ("netron", "onnx", "onnxscript")

TOOLS: tuple[Tool, ...] = (
    Tool("tinygrad_bn", (_OURS, "drawing"), stand_ins=("pygraphviz",)),
    Tool("tinygrad_bn-page", (_OURS, "page"), "g.item"),
    Tool("tinygrad_bn-observed-page", (_OURS, "observed-page"), "g.item"),
    Tool("torchviz", (_TORCH, "torchviz"), packages=("torchviz",)),
    Tool("torchview", (_TORCH, "torchview"), packages=("torchview",)),
    Tool("torchlens", (_TORCH, "torchlens"), packages=("torchlens",)),
    Tool("torchlens-page", (_TORCH, "torchlens-page"), "g.node", ("torchlens",)),
    Tool("torchvista", (_TORCH, "torchvista"), '[class^="node_"]', ("torchvista",)),
    Tool("netron", (_TORCH, "netron"), "g.node", _EXPORTER),
    Tool("netron-older-exporter", (_TORCH, "netron-older"), "g.node", _EXPORTER),
    Tool("keras", ("benchmarks.drawing.worker_keras",), packages=("keras", "pydot")),
)


def interpreter(tool: Tool, tell: Callable[[str], None]) -> Path:
    """Return the interpreter that runs a tool, which is installed first if it is not there.

    Raises:
        PeerMissingError: it cannot be installed.
    """
    if not tool.packages:
        return Path(sys.executable)
    python = environments.make(ENVIRONMENT, [[*CONSTRAINED, "torch", "numpy", "graphviz"]], tell)
    tell(f"looking whether {tool.name} is installed, in {ENVIRONMENT}")
    environments.add(ENVIRONMENT, [*CONSTRAINED, *tool.packages])
    return python


def start(tool: Tool, python: Path, log: Path, path: str | None = None) -> Worker:
    """Start a tool's worker, with another PATH if one is given."""
    variables = {**os.environ, **ONE_THREAD, "KERAS_BACKEND": "torch", "PYTHONHASHSEED": "random"}
    if path is not None:
        variables["PATH"] = path
    return Worker([str(python), "-m", *tool.module], variables, environments.ROOT, log)
