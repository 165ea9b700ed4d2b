"""Sharing a GPU's memory: the producer is told the consumer's stream, and nothing passes through the host."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import stand_in
from compare import torch

import tinygrad_bn as tg
from tinygrad_bn.backend import unavailable_reason
from tinygrad_bn.errors import DeviceError, GraphError


class _Library:
    """Another library's array, really a tensor's; it notes what it is asked for."""

    def __init__(self, array: tg.Tensor | None) -> None:
        self._array: Any = array
        self.asked: list[dict[str, Any]] = []

    def __dlpack__(self, **request: Any) -> Any:
        self.asked.append(request)
        return self._array.__dlpack__(**request)

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self._array.__dlpack_device__()
        return device


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64"])
def test_from_another_library(dtype: str) -> None:
    with stand_in.emulated_gpu(count=2):
        theirs = tg.tensor([[1, 2], [3, 4]], dtype=dtype, device="cuda:1").T
        library = _Library(theirs)
        mine = tg.cuda.Stream(1)
        tg.ones(1, device="cuda:0")  # another GPU is current
        with tg.cuda.stream(mine):
            x = tg.from_dlpack(library)
        assert str(x.device) == "cuda:1"
        assert str(x.dtype) == dtype
        assert x.data.data.ptr == theirs.data.data.ptr
        assert x.tolist() == [[1, 3], [2, 4]]
        assert library.asked[0]["stream"] == mine.raw.ptr
        theirs[0, 0] = 7
        assert x[0, 0].item() == 7


def test_to_another_library(emulated_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    export = emulated_gpu.ndarray.__dlpack__

    def noting(array: Any, **request: Any) -> Any:
        asked.append(request)
        return export(array, **request)

    monkeypatch.setattr(emulated_gpu.ndarray, "__dlpack__", noting)
    for dtype in ("float32", "bfloat16"):
        x = tg.ones(2, 3, dtype=dtype, device="cuda")
        assert x.__dlpack_device__() == (2, 0)
        x.__dlpack__(stream=7, max_version=(1, 0))
        assert asked.pop() == {"stream": 7, "max_version": (1, 0)}
        taken = tg.from_dlpack(x)
        assert taken.data.data.ptr == x.data.data.ptr
        assert taken.dtype == x.dtype
        with pytest.raises(GraphError, match=r"detach\(\) first"):
            tg.ones(2, dtype=dtype, device="cuda", requires_grad=True).__dlpack__(stream=1)


def test_to_a_library_that_reads_on_the_host(emulated_gpu: ModuleType) -> None:
    x = tg.tensor([1.0, 2.0], device="cuda")
    np.testing.assert_array_equal(np.from_dlpack(x, device="cpu"), [1.0, 2.0])


def test_the_cuda_array_interface(emulated_gpu: ModuleType) -> None:
    x = tg.ones(2, 3, device="cuda")
    interface = x.__cuda_array_interface__
    assert interface["shape"] == (2, 3)
    assert interface["data"] == (x.data.data.ptr, False)
    with pytest.raises(GraphError, match=r"__cuda_array_interface__.+detach\(\) first"):
        x.requires_grad_().__cuda_array_interface__  # noqa: B018
    assert not hasattr(tg.ones(2, device="cpu"), "__cuda_array_interface__")


def test_memory_of_a_gpu_that_cannot_be_used(emulated_gpu: ModuleType) -> None:
    class Elsewhere(_Library):
        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 5

    with pytest.raises(DeviceError, match="an index below 1"):
        tg.from_dlpack(Elsewhere(None))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int64", "bool"])
def test_with_pytorch_on_a_gpu(dtype: str) -> None:
    reason = unavailable_reason("cuda")
    if reason or not torch.cuda.is_available():
        pytest.skip(reason or "this PyTorch has no CUDA")
    x = tg.tensor(np.arange(6).reshape(2, 3) % 2, dtype=dtype, device="cuda").T
    theirs = torch.from_dlpack(x)
    assert theirs.is_cuda
    assert theirs.data_ptr() == x.data.data.ptr
    assert theirs.tolist() == x.tolist()
    theirs += theirs
    assert x.tolist() == theirs.tolist()
    back = tg.from_dlpack(theirs)
    assert back.data.data.ptr == theirs.data_ptr()
    assert str(back.dtype) == dtype
    assert (back + back).tolist() == (theirs + theirs).tolist()
