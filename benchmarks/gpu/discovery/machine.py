"""The card, the driver, the packages, and whether the least of each works."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import time
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn.kernels import served_by
from tinygrad_bn.kernels.cuda.compiler import SCALARS

from ..place import Place
from . import Found, Item, SkipItemError

PACKAGES = (
    *("numpy", "cupy-cuda13x", "cupy-cuda12x", "nvidia-cudnn-frontend", "nvidia-cudnn-cu13", "nvidia-cudnn-cu12"),
    *("nvidia-cublas", "nvidia-cuda-nvrtc", "ml-dtypes", "torch", "triton", "jax"),
)
_ASKED = (
    "name",
    "driver_version",
    "memory.total",
    "clocks.max.sm",
    "clocks.max.memory",
    "power.limit",
    "utilization.gpu",
)


def card(place: Place) -> Found:
    """Ask CuPy and nvidia-smi."""
    if place.ours == "cpu":
        raise SkipItemError("a rehearsal on the CPU")
    properties = tg.cuda.get_device_properties(place.ours)
    raw = tg.get_device(place.ours).xp.cuda.runtime.getDeviceProperties(0)
    data: dict[str, Any] = properties._asdict() | {"l2_bytes": raw.get("l2CacheSize")}
    try:
        asked = ["nvidia-smi", "-i", "0", f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout
        data |= dict(zip(_ASKED, (part.strip() for part in answer.splitlines()[0].split(",")), strict=False))
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        data["nvidia-smi"] = f"{type(error).__name__}: {error}"
    line = (
        f"{properties.name}, compute capability {properties.major}.{properties.minor}, "
        f"{properties.multi_processor_count} multiprocessors, {properties.total_memory / 2**30:.0f} GiB, "
        f"driver {data.get('driver_version', 'unknown')}"
    )
    return Found(line, data)


def versions(place: Place) -> Found:
    """List what is installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Found(", ".join(f"{name} {version}" for name, version in found.items()), {"versions": found})


def array_module(place: Place) -> Found:
    """Compute with CuPy alone."""
    start = time.perf_counter()
    xp = tg.get_device(place.ours).xp
    host = np.linspace(-1.0, 1.0, 1000, dtype=np.float32)
    total = float(xp.sum(xp.tanh(xp.asarray(host)) ** 2))
    seconds = time.perf_counter() - start
    exact = float((np.tanh(host.astype(np.float64)) ** 2).sum())
    difference = abs(total - exact) / exact
    return Found(
        f"first result after {seconds:.1f} s, off by {difference:.0e}", {"seconds": seconds}, difference < 1e-5
    )


def provider(place: Place) -> Found:
    """See who serves which kernel."""
    kernels = place.kernels
    served = served_by(kernels)
    missing = dict(getattr(kernels, "missing", {}))
    line = f"{kernels.name} serves {len(served[kernels.name])} kernels, the reference {len(served['reference'])}"
    return Found(line, {"served": served, "missing": missing})


def compiler(place: Place) -> Found:
    """Compile our CUDA C++ for each dtype: all of it, and once more what computes an activation."""
    program = getattr(place.kernels, "program", None)
    if program is None:
        raise SkipItemError("the kernels here are not CUDA's")
    seconds = {}
    for dtype in SCALARS:
        for activation in ("identity", "relu", "tanh"):
            start = time.perf_counter()
            program.kernel("activate", dtype, activation)
            seconds[f"{dtype} {activation}"] = time.perf_counter() - start
    line = ", ".join(f"{what} {taken:.1f} s" for what, taken in seconds.items())
    return Found(f"{line} (none, where compiled before)", {"seconds": seconds})


def convolution_library(place: Place) -> Found:
    """Load cuDNN and its frontend."""
    plans = getattr(place.kernels, "plans", None)
    if plans is None:
        missing = getattr(place.kernels, "missing", {}).get("cuDNN")
        if missing is None:
            raise SkipItemError("the kernels here are not CUDA's")
        return Found(missing, passed=False)
    import cudnn

    version = cudnn.backend_version()
    return Found(f"cuDNN {version}, frontend {cudnn.__version__}", {"cudnn": version, "frontend": cudnn.__version__})


ITEMS = (
    Item("card", "card and driver", card),
    Item("versions", "versions", versions),
    Item("cupy", "CuPy computes", array_module),
    Item("provider", "our kernels serve the device", provider),
    Item("compiler", "our CUDA C++ compiles", compiler, 30.0),
    Item("cudnn", "cuDNN loads", convolution_library),
)
