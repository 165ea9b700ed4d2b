"""Where and with what numbers are made: versions, machine, device, linear algebra."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import get_device


def environment(device: str) -> dict[str, Any]:
    """Versions, machine and device, as JSON values; nothing that names a person or a host."""
    chosen = get_device(device)
    return {
        "tinygrad_bn": package_version("tinygrad_bn"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas(),
        "blas_threads": blas_threads(),
        "device": chosen.name,
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def package_version(name: str) -> str:
    """The installed version of a package, or "not installed"."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def blas() -> str:
    """The library that NumPy calls for linear algebra, and its version."""
    dependencies: dict[str, Any] = np.show_config(mode="dicts")  # type: ignore[assignment]
    found = dependencies.get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def blas_threads() -> str:
    """The number of threads that the environment allows for linear algebra."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        if os.environ.get(name):
            return os.environ[name]
    return "all cores"


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
