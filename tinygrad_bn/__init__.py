"""A NumPy/CuPy autograd engine to read in an evening, and a laboratory on top of it.

The laboratory answers one question: does BatchNorm belong before or after the activation? Not affiliated with the
package `tinygrad`.

>>> import tinygrad_bn as tg
>>> x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad.tolist()
[2.0, 4.0, 6.0]
"""

import importlib
from typing import Any

from . import functional
from .autograd import autocast, enable_grad, grad, is_grad_enabled, no_grad
from .backend import (
    Generator,
    available_devices,
    get_cudnn_benchmark,
    get_default_device,
    get_device,
    get_float32_matmul_precision,
    get_num_threads,
    manual_seed,
    set_cudnn_benchmark,
    set_default_device,
    set_float32_matmul_precision,
    set_num_threads,
)
from .captured import CapturedStep, capture
from .combining import concatenate, maximum, minimum, stack, where
from .creation import (
    arange,
    eye,
    from_array,
    from_dlpack,
    from_numpy,
    full,
    ones,
    ones_like,
    rand,
    randn,
    tensor,
    zeros,
    zeros_like,
)
from .function import Function
from .tensor import Tensor

__version__ = "0.1.0"

_SUBPACKAGES = ("cuda", "data", "interop", "lab", "nn", "optim", "testing", "viz")

__all__ = [
    "CapturedStep",
    "Function",
    "Generator",
    "GradScaler",
    "Tensor",
    "arange",
    "autocast",
    "available_devices",
    "capture",
    "concatenate",
    "enable_grad",
    "eye",
    "from_array",
    "from_dlpack",
    "from_numpy",
    "full",
    "functional",
    "get_cudnn_benchmark",
    "get_default_device",
    "get_device",
    "get_float32_matmul_precision",
    "get_num_threads",
    "grad",
    "is_grad_enabled",
    "manual_seed",
    "maximum",
    "minimum",
    "no_grad",
    "ones",
    "ones_like",
    "rand",
    "randn",
    "set_cudnn_benchmark",
    "set_default_device",
    "set_float32_matmul_precision",
    "set_num_threads",
    "stack",
    "tensor",
    "where",
    "zeros",
    "zeros_like",
    *_SUBPACKAGES,
]


def __getattr__(name: str) -> Any:
    # The upper floors are imported when they are first used, so that `import tinygrad_bn` stays cheap.
    if name in _SUBPACKAGES:
        return importlib.import_module(f".{name}", __name__)
    if name == "GradScaler":
        return importlib.import_module(".optim", __name__).GradScaler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
