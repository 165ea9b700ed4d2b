"""The CUDA C++ of our own kernels: read from `source/`, put together, and compiled where it is first used.

One translation unit holds all kernels. It is compiled once for each dtype that arrays are stored in, and its kernels
that compute an activation once more for each of those: SCALAR and ACTIVATION are macros, so a kernel is plain code that
names neither. CuPy compiles with NVRTC and keeps the machine code on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

Launch = Callable[[tuple[int, ...], tuple[int, ...], tuple[Any, ...]], None]
"""Called with grid, block and arguments: arrays, NumPy scalars of the parameters' types, or None for a null pointer."""

PARTS = ("scalars", "activations", "reduction", "norm_act", "pooling", "depthwise", "losses", "updates", "sums")
"""The files of `source/`, in the order in which the compiler reads them."""

FUSED = ("scalars", "activations", "reduction", "norm_act")
"""Those with the kernels that compute an activation, and what they are made of."""

SCALARS = {"float16": "half_storage", "bfloat16": "bfloat16_storage", "float32": "float", "float64": "double"}
"""What each dtype is called there."""


def source(activation: str = "identity") -> str:
    """Return the translation unit for an activation: all kernels for the identity, those that compute it for another.

    Messages of the compiler name the file that a line is from.
    """
    folder = resources.files(__package__) / "source"
    parts = PARTS if activation == "identity" else FUSED
    texts = ((part, (folder / f"{part}.cuh").read_text(encoding="utf-8")) for part in parts)
    return "".join(f'#line 1 "{part}.cuh"\n{text}\n' for part, text in texts)


def options(dtype: str, activation: str) -> tuple[str, ...]:
    """Return what the compiler is told: the language, the dtype's name in the code, and the activation's."""
    return ("-std=c++17", f"-DSCALAR={SCALARS[dtype]}", f"-DACTIVATION={activation}")


class Program:
    """The kernels of one device, compiled for the dtypes and activations that were asked for.

    Args:
        xp: CuPy.
    """

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._modules: dict[tuple[str, str], Any] = {}
        self._kernels: dict[tuple[str, Any, str], Launch] = {}

    def kernel(self, name: str, dtype: Any, activation: str = "identity") -> Launch:
        """Return a kernel of `source/` for arrays of a dtype.

        Args:
            name: the kernel's name in the code.
            dtype: a key of SCALARS, or a dtype of that name.
            activation: the activation that it computes, where it computes one.
        """
        key = (name, dtype, activation)
        found = self._kernels.get(key)
        if found is None:
            found = self._kernels[key] = self._module(str(dtype), activation).get_function(name)
        return found

    def _module(self, dtype: str, activation: str) -> Any:
        module = self._modules.get((dtype, activation))
        if module is None:
            module = self._xp.RawModule(code=source(activation), options=options(dtype, activation))
            self._modules[dtype, activation] = module
        return module
