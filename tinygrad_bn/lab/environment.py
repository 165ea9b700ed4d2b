"""Where and with what numbers are made: versions, machine, device, linear algebra."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np

from .. import cuda
from ..backend import Device, get_device, get_float32_matmul_precision
from ..backend.cuda import version_of_cuda
from ..errors import DeviceError


def environment(device: str) -> dict[str, Any]:
    """Versions, machine and device, as JSON values; nothing that names a person or a host."""
    chosen = get_device(device)
    gpu = _gpu(chosen) if chosen.name.startswith("cuda:") else {}
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
        **gpu,
    }


def _gpu(device: Device) -> dict[str, Any]:
    """The GPU, its driver, and the libraries that compute on it."""
    properties, runtime = cuda.get_device_properties(device), device.xp.cuda.runtime
    return {
        "gpu": properties.name,
        "gpu_memory": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "driver": _driver(),
        "driver_cuda": version_of_cuda(runtime.driverGetVersion()),
        "cuda": version_of_cuda(runtime.runtimeGetVersion()),
        "cupy": device.xp.__version__,
        "cudnn": _cudnn(),
        "float32_matmul_precision": get_float32_matmul_precision(),
    }


def _driver() -> str:
    """The version of NVIDIA's driver, as Linux tells it."""
    try:
        first = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return "unknown"
    found = re.search(r"\d+\.\d+(\.\d+)*", first)
    return found[0] if found else "unknown"


def _cudnn() -> str:
    from ..kernels.cuda.libraries import load_cudnn

    try:
        number = int(load_cudnn().backend_version())
    except DeviceError:
        return "not used"
    return f"{number // 10000}.{number % 10000 // 100}.{number % 100}"


def package_version(name: str) -> str:
    """The installed version of a package, or "not installed"."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def blas() -> str:
    """The library that NumPy calls for linear algebra, its version, and which processor its routines are made for."""
    dependencies: dict[str, Any] = np.show_config(mode="dicts")  # type: ignore[assignment]
    found = dependencies.get("Build Dependencies", {}).get("blas", {})
    name = f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()
    architecture = _loaded_blas().get("architecture")
    return f"{name} for {architecture}" if architecture else name


def blas_threads() -> str:
    """The number of threads that linear algebra uses."""
    number = _loaded_blas().get("num_threads")
    if number is not None:
        return str(number)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        if os.environ.get(name):
            return os.environ[name]
    return "all cores"


def blas_advice() -> str | None:
    """What to do where OpenBLAS does not know this processor and leaves half of its arithmetic unused."""
    loaded = _loaded_blas()
    slow = loaded.get("internal_api") == "openblas" and loaded.get("architecture") in _WITHOUT_AVX512
    if not (slow and "avx512f" in _processor_features()):
        return None
    named = os.environ.get("OPENBLAS_CORETYPE")
    because = f", because OPENBLAS_CORETYPE={named} is set" if named else ""
    return (
        f"This processor has AVX-512, but OpenBLAS uses its routines for {loaded['architecture']}{because}.\n"
        "Products that NumPy computes gain from OPENBLAS_CORETYPE=SkylakeX, set before Python starts.\n"
        "Compiled kernels do without BLAS."
    )


_WITHOUT_AVX512 = ("Haswell", "Zen", "Sandybridge", "Nehalem", "Prescott")  # OpenBLAS's names


def _loaded_blas() -> dict[str, Any]:
    """What the package threadpoolctl finds out about the BLAS below NumPy; nothing where it is not installed."""
    try:
        import threadpoolctl
    except ImportError:
        return {}
    return next((pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"), {})


def _processor_features() -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
