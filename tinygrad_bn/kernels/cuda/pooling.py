"""Max and average pooling, both ways, of channels-last images: one launch each."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ...backend import get_device, once
from ..reference import Kernels
from .base import CudaBase
from .launch import width_of
from .layout import images_of, is_covered, real_of

Pair = tuple[int, int]

_THREADS = 256
_MOST_LANES = 16
_ENOUGH_THREADS = 1 << 15  # to keep a GPU busy
_MOST_ITEMS = 2**31
_MOST_IN_A_BYTE = 256
_WINNERS = {np.dtype("uint8"): "bytes", np.dtype("int32"): "ints"}
_POOLING = np.dtype([(name, np.int32, 2) for name in ("kernel", "stride", "padding", "dilation", "length", "windows")])


class PoolingOverrides(CudaBase):
    """Pooling of all floating-point images. Winners are kept in a byte each where the window is small enough."""

    def max_pool2d(
        self, x: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair
    ) -> tuple[Any, Any]:
        if not _covers(x, out_size):
            return super().max_pool2d(x, kernel, stride, padding, dilation, out_size)
        images = images_of(x)
        shape = (len(x), *out_size, x.shape[1])
        out = self.xp.empty(shape, x.dtype)
        winner = self.xp.empty(shape, np.uint8 if kernel[0] * kernel[1] <= _MOST_IN_A_BYTE else np.int32)
        pooling = _pooling(kernel, stride, padding, dilation, x.shape[2:], out_size)
        self._launch_pooling(f"max_pool_{_WINNERS[winner.dtype]}", images, pooling, out, winner)
        return out.transpose(0, 3, 1, 2), winner.transpose(0, 3, 1, 2)

    def max_pool2d_indices(
        self, winner: Any, width: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
    ) -> Any:
        return super().max_pool2d_indices(winner.astype("int64"), width, kernel, stride, padding, dilation)

    def max_pool2d_scatter(
        self,
        values: Any,
        winner: Any,
        input_size: Pair,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
    ) -> Any:
        if not _covers(values, input_size) or winner.dtype not in _WINNERS:
            return super().max_pool2d_scatter(values, winner, input_size, kernel, stride, padding, dilation)
        out = self.xp.empty((len(values), *input_size, values.shape[1]), values.dtype)
        pooling = _pooling(kernel, stride, padding, dilation, input_size, values.shape[2:])
        name = f"max_pool_scatter_{_WINNERS[winner.dtype]}"
        self._launch_pooling(name, images_of(values), pooling, out, images_of(winner))
        return out.transpose(0, 3, 1, 2)

    def max_pool2d_gather(self, x: Any, winner: Any, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
        out_size = winner.shape[2:]
        if not _covers(x, out_size) or winner.dtype not in _WINNERS:
            return super().max_pool2d_gather(x, winner, kernel, stride, padding, dilation)
        out = self.xp.empty((len(x), *out_size, x.shape[1]), x.dtype)
        pooling = _pooling(kernel, stride, padding, dilation, x.shape[2:], out_size)
        name = f"max_pool_gather_{_WINNERS[winner.dtype]}"
        self._launch_pooling(name, images_of(x), pooling, out, images_of(winner), width=1)
        return out.transpose(0, 3, 1, 2)

    def avg_pool2d(self, x: Any, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, divisor: Any) -> Any:
        if not _covers(x, out_size):
            return super().avg_pool2d(x, kernel, stride, padding, out_size, divisor)
        out = self.xp.empty((len(x), *out_size, x.shape[1]), x.dtype)
        pooling = _pooling(kernel, stride, padding, (1, 1), x.shape[2:], out_size)
        self._launch_pooling("avg_pool", images_of(x), pooling, out, *_shares(divisor, x.dtype), lanes=kernel[0])
        return out.transpose(0, 3, 1, 2)

    def avg_pool2d_grad(
        self, grad: Any, input_size: Pair, kernel: Pair, stride: Pair, padding: Pair, divisor: Any
    ) -> Any:
        if not _covers(grad, input_size):
            return super().avg_pool2d_grad(grad, input_size, kernel, stride, padding, divisor)
        out = self.xp.empty((len(grad), *input_size, grad.shape[1]), grad.dtype)
        pooling = _pooling(kernel, stride, padding, (1, 1), input_size, grad.shape[2:])
        self._launch_pooling("avg_pool_gradient", images_of(grad), pooling, out, *_shares(divisor, grad.dtype))
        return out.transpose(0, 3, 1, 2)

    def avg_pool2d_divisor(
        self,
        input_size: Pair,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        out_size: Pair,
        count_include_pad: bool,
    ) -> Any:
        """Return one number where it is the same for all windows: nothing is computed on the device then."""
        key = (input_size, kernel, stride, padding, out_size, count_include_pad)
        found = self._pooling_divisors.get(key)
        if found is None:
            on_host = Kernels(get_device("cpu")).avg_pool2d_divisor(*key)
            first = float(on_host[0, 0])
            with once():
                found = first if (on_host == first).all() else self.device.from_host(on_host)
            self._pooling_divisors[key] = found
        return found

    @cached_property
    def _pooling_divisors(self) -> dict[Any, Any]:
        return {}

    def _launch_pooling(
        self,
        name: str,
        images: Any,
        pooling: np.ndarray,
        out: Any,
        *others: Any,
        width: int | None = None,
        lanes: int = 1,
    ) -> None:
        """Launch a kernel that writes images from images, both channels-last.

        Args:
            others: what the kernel takes besides.
            width: of a pack of channels; by default as wide as rows and addresses allow.
            lanes: into how many parts a thread's work could be cut; it is, if there is not enough of it otherwise.
        """
        channels = out.shape[-1]
        pack = width_of(channels, images, out) if width is None else width
        items = out.size // pack
        lanes = min(lanes, _MOST_LANES, max(1, _ENOUGH_THREADS // items))
        lanes = 1 << (lanes.bit_length() - 1)
        across = _THREADS // lanes
        arguments = (images, np.uint32(items), np.int32(channels), pooling, np.int32(pack > 1), out, *others)
        self.program.kernel(name, out.dtype)((-(-items // across),), (across, lanes), arguments)


def _covers(x: Any, out_size: Any) -> bool:
    items = max(x.size, x.shape[0] * x.shape[1] * out_size[0] * out_size[1])
    return is_covered(x.dtype) and x.size > 0 and items < _MOST_ITEMS


def _shares(divisor: Any, dtype: Any) -> tuple[Any, Any]:
    """Return how much each element of a window counts: an array for all windows and 0, or None and one number."""
    real = real_of(dtype)
    if isinstance(divisor, int | float):
        return None, real.type(1.0 / divisor)
    return (1.0 / divisor).astype(real), real.type(0.0)


@lru_cache(maxsize=1024)
def _pooling(kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, length: Pair, windows: Pair) -> np.ndarray:
    """Return the structure `Pooling` of `source/pooling.cuh`."""
    return np.array((kernel, stride, padding, dilation, length, windows), _POOLING)
