"""Where things are found out: our device, PyTorch's, and how long something takes there."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn.kernels import Kernels, kernels_of

Array = np.ndarray[Any, Any]
Call = Callable[[], object]

_SAMPLE = 5e-3
_ROUNDS = 5
_REPEATED = 10


@dataclass(frozen=True)
class Place:
    """A GPU, or what stands in for one where the code is tested.

    Args:
        ours: the name of our device.
        theirs: the name of PyTorch's.
        small: whether to take small sizes, whose times mean nothing.
    """

    ours: str = "cuda"
    theirs: str = "cuda"
    small: bool = False

    @property
    def kernels(self) -> Kernels:
        """Our kernels there."""
        return kernels_of(tg.get_device(self.ours))

    @property
    def batch(self) -> int:
        """How many images."""
        return 4 if self.small else 128

    def tensor(self, array: Array, dtype: str | None = None) -> tg.Tensor:
        """Return a tensor there; one with four axes lies channels-last in memory."""
        if array.ndim != 4:
            return tg.tensor(array, dtype=dtype, device=self.ours)
        rows = tg.tensor(np.ascontiguousarray(array.transpose(0, 2, 3, 1)), dtype=dtype, device=self.ours)
        return rows.transpose(0, 3, 1, 2).detach()

    def torch_tensor(self, array: Array, dtype: str = "float32") -> Any:
        """Return PyTorch's tensor there, likewise."""
        import torch

        tensor = torch.tensor(np.ascontiguousarray(array), device=self.theirs)
        tensor = tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    def finish(self) -> None:
        """Wait until both are done."""
        if self.ours != "cpu":
            tg.cuda.synchronize(self.ours)
        if self.theirs != "cpu":
            import torch

            torch.cuda.synchronize()

    def seconds(self, calls: Sequence[Call]) -> float:
        """Return how long one of the calls takes, when they take turns: the median of some rounds.

        What Python does beside the GPU is in it, where that takes longer.
        """

        def turn(times: int) -> float:
            self.finish()
            start = time.perf_counter()
            for _ in range(times):
                for call in calls:
                    call()
            self.finish()
            return time.perf_counter() - start

        turn(1)
        times = max(1, round(_SAMPLE / turn(1)))
        return statistics.median(turn(times) for _ in range(_ROUNDS)) / (times * len(calls))

    def replayed_seconds(self, calls: Sequence[Call]) -> float:
        """Return the same of ours without Python: all the calls are one captured step."""
        repeated = [*calls] * -(-_REPEATED // len(calls))

        def every(_: tg.Tensor) -> None:
            for call in repeated:
                call()

        step, start = tg.capture(every), tg.zeros(1, device=self.ours)
        for _ in range(5):  # as they are, recorded, repeated
            step(start)
        return self.seconds([lambda: step(start)]) / len(repeated)

    def torch_replayed_seconds(self, calls: Sequence[Call]) -> float:
        """Return the same of PyTorch's calls, as a CUDA graph."""
        if self.theirs == "cpu":
            return self.seconds(calls)
        import torch

        repeated = [*calls] * -(-_REPEATED // len(calls))
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                for call in calls:
                    call()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for call in repeated:
                call()
        return self.seconds([graph.replay]) / len(repeated)


def set_precision(precision: str) -> None:
    """Let both multiply float32 factors as they are ("float32") or rounded to TF32 ("tf32")."""
    import torch

    coarse = precision == "tf32"
    tg.set_float32_matmul_precision("high" if coarse else "highest")
    torch.set_float32_matmul_precision("high" if coarse else "highest")
    torch.backends.cudnn.allow_tf32 = coarse


def error_of(found: Any, exact: Array) -> float:
    """Return the Frobenius norm of the difference over that of the exact array."""
    difference = np.asarray(found, dtype=np.float64) - exact
    return float(np.linalg.norm(difference.ravel()) / max(float(np.linalg.norm(exact.ravel())), 1e-300))
