"""What is there to work with: data sets, devices, kernels, extras. For `tinygrad-bn data` and `tinygrad-bn info`."""

from __future__ import annotations

import importlib.metadata
import re
import textwrap
from pathlib import Path

from .. import data
from ..backend import available_devices, get_device, get_num_threads, unavailable_reason
from ..data.folders import ENVIRONMENT_VARIABLE, download_folder
from ..data.full_sets import FULL_SETS
from ..kernels import Kernels, code_folder, kernels_of, missing_libraries, served_by, unusable_reason
from .environment import blas, blas_advice, blas_threads, environment, package_version, processor
from .tables import columns


def describe_datasets() -> str:
    """A table of all data sets: counts, shape and place of those that are here, and how to get the others."""
    rows = [("name", "train", "test", "image", "classes", "where")]
    for name in data.LOADERS:
        place = _place(name)
        if place is None:
            rows.append((name, "", "", "", "", f"not here; fetched into {download_folder() / name} when first used"))
            continue
        train, test = data.load(name, "train"), data.load(name, "test")
        shape = "x".join(map(str, train.image_shape))
        rows.append((name, str(len(train)), str(len(test)), shape, str(len(train.classes)), place))
    note = f"Full sets are looked for in the folder that {ENVIRONMENT_VARIABLE} names, then where Debian installs them."
    return f"{columns(rows)}\n\n{note}"


def describe_installation() -> str:
    """Versions, devices and why one cannot be used, kernel providers, linear algebra, extras."""
    devices = [(name, _device(name)) for name in available_devices()]
    if "cuda:0" not in dict(devices):
        devices.append(("cuda", unavailable_reason("cuda") or "can be used"))
    facts = [
        ("tinygrad_bn", package_version("tinygrad_bn")),
        ("numpy", package_version("numpy")),
        ("processor", processor()),
        ("threads", str(get_num_threads())),
        ("linear algebra", f"{blas()}, threads: {blas_threads()}"),
    ]
    advice = blas_advice()
    parts = [
        columns(facts) + (f"\n\n{advice}" if advice else ""),
        "devices\n" + _indented(columns(devices)),
        "kernels on the cpu\n" + _indented(_kernels_on_the_cpu()),
        *(["kernels on the gpu\n" + _indented(_kernels_on_the_gpu())] if "cuda:0" in dict(devices) else []),
        "extras\n" + _indented(columns(_extras())),
    ]
    return "\n\n".join(parts)


def _device(name: str) -> str:
    """That a device can be used, or why not though there is one; and what it is where it is a GPU."""
    if not name.startswith("cuda:"):
        return "can be used"
    reason = unavailable_reason(name)
    if reason is not None:
        return reason
    facts = environment(name)
    return (
        f"{facts['gpu']}, {facts['gpu_memory'] / 2**30:.0f} GiB, compute capability {facts['compute_capability']}; "
        f"CUDA {facts['cuda']}, driver for {facts['driver_cuda']}; CuPy {facts['cupy']}; cuDNN {facts['cudnn']}"
    )


def _kernels_on_the_cpu() -> str:
    """Which provider serves each kernel, and why another one does not."""
    cpu = get_device("cpu")
    kernels = kernels_of(cpu)
    lines = _served(kernels)
    reason = unusable_reason("cpu", cpu)
    if kernels.name == "cpu":
        note = "Compiled kernels take float32 and float64; everything else, and what they do not cover, the reference."
        lines.append(f"{note}\nTheir machine code is kept in {_shortened(code_folder())}.")
    else:
        lines.append(f"No compiled kernels: {reason or 'TINYGRAD_BN_KERNELS asks for the reference'}.")
    return "\n".join(lines)


def _kernels_on_the_gpu() -> str:
    """Which provider serves each kernel, and which libraries it has to do without."""
    kernels = kernels_of(get_device("cuda:0"))
    without = [f"without {name}: {reason}" for name, reason in missing_libraries(kernels).items()]
    return "\n".join(_served(kernels) + without)


def _served(kernels: Kernels) -> list[str]:
    rows = [(f"{provider}:", ", ".join(names)) for provider, names in served_by(kernels).items() if names]
    return [
        textwrap.fill(names, 100, initial_indent=f"{label:11}", subsequent_indent=" " * 11) for label, names in rows
    ]


def _place(name: str) -> str | None:
    if name not in FULL_SETS:
        return "in the package"
    folder = data.locate(name)
    return str(_shortened(folder)) if folder else None


def _shortened(path: Path) -> Path:
    home = Path.home()
    return Path("~") / path.relative_to(home) if path.is_relative_to(home) else path


def _extras() -> list[tuple[str, str]]:
    """Each optional package with the extras that bring it, and its version or that it is missing."""
    wanted: dict[str, list[str]] = {}
    try:
        requirements = importlib.metadata.requires("tinygrad_bn") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    for requirement in requirements:
        package = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", requirement)
        if package and extra and extra[1] not in ("test", "docs", "oracle", "all"):
            wanted.setdefault(package[0], []).append(extra[1])
    wanted.pop("tinygrad_bn", None)
    return [(f"{package} [{', '.join(extras)}]", package_version(package)) for package, extras in wanted.items()]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
