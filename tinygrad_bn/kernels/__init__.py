"""Array-level mathematics: one contract, and providers that fulfil it.

`reference.Kernels` defines every kernel once, against the array module, so that the same code computes on NumPy and
on CuPy. A faster provider subclasses it and overrides what is hot. No kernel ever sees a Tensor.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from ..backend import Device, get_num_threads
from ..errors import DeviceError, MissingDependencyError, explain, missing_dependency, unknown_choice
from .reference import Kernels
from .settings import AdamSettings, SgdSettings, Skip

__all__ = [
    "PROVIDERS",
    "AdamSettings",
    "Kernels",
    "SgdSettings",
    "Skip",
    "code_folder",
    "kernels_of",
    "missing_libraries",
    "provider",
    "served_by",
    "unusable_reason",
]

PROVIDERS = ("reference", "cpu", "cuda")
"""The names of the providers; the environment variable TINYGRAD_BN_KERNELS forces one."""

_FORCED_BY = "TINYGRAD_BN_KERNELS"


def kernels_of(device: Device) -> Kernels:
    """Return the kernels that serve a device, and make it the current one: all computation comes through here.

    They are the forced ones, else the fastest that can be used here.

    Raises:
        ArgumentError: TINYGRAD_BN_KERNELS names a provider that does not exist.
        MissingDependencyError, DeviceError: it names one that cannot serve this device, and the message says why.
    """
    if device.activate is not None:
        device.activate()
    if device.kernels is None:
        if device.name == "cpu":
            get_num_threads()  # an environment variable that sets it governs BLAS, too, whoever uses that
        forced = os.environ.get(_FORCED_BY)
        if forced:
            device.kernels = provider(forced, device)(device)
        else:
            name = next(name for name in ("cpu", "cuda", "reference") if unusable_reason(name, device) is None)
            device.kernels = provider(name, device)(device)
    kernels: Kernels = device.kernels
    return kernels


def provider(name: str, device: Device) -> type[Kernels]:
    """Return the class of a provider for a device; errors as in `kernels_of`."""
    if name not in PROVIDERS:
        raise unknown_choice(_FORCED_BY, "the kernel provider", name, PROVIDERS)
    if name == "reference":
        return Kernels
    if device.name.partition(":")[0] != name:
        raise DeviceError(explain(_FORCED_BY, "kernels that serve the device", f"{name!r} for {device}"))
    if name == "cuda":
        from .cuda import CudaKernels

        return CudaKernels
    if importlib.util.find_spec("numba") is None:
        raise missing_dependency("the kernels 'cpu'", "numba", "fast")
    from .cpu import CpuKernels  # imports Numba, which takes a while

    return CpuKernels


def unusable_reason(name: str, device: Device) -> str | None:
    """Return why a provider cannot serve a device here, or None when it can."""
    try:
        provider(name, device)
    except (MissingDependencyError, DeviceError) as error:
        return str(error)
    return None


def served_by(kernels: Kernels) -> dict[str, list[str]]:
    """Return, by provider, the names of the kernels that it serves; an override may hand dtypes and shapes on."""
    own: dict[str, list[str]] = {kernels.name: [], "reference": []}
    for name in dir(Kernels):
        method = getattr(Kernels, name)
        if not name.startswith("_") and callable(method):
            own["reference" if getattr(type(kernels), name) is method else kernels.name].append(name)
    return own


def missing_libraries(kernels: Kernels) -> dict[str, str]:
    """Return what kernels on a GPU leave to CuPy, and why: libraries, loaded to find out, and single convolutions."""
    from .cuda import CudaKernels

    if not isinstance(kernels, CudaKernels):
        return {}
    kernels.load_libraries()
    return dict(kernels.missing)


def code_folder() -> Path:
    """Return where the machine code of the compiled kernels is kept."""
    from .cpu.compiler import cache_folder

    return cache_folder()
