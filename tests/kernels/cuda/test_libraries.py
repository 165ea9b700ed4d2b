"""NVIDIA's libraries: what is said where one is missing, and that the real ones can be loaded without a GPU."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from tinygrad_bn.backend import get_device
from tinygrad_bn.errors import DeviceError
from tinygrad_bn.kernels import Kernels, kernels_of, missing_libraries
from tinygrad_bn.kernels.cuda import libraries

pytestmark = pytest.mark.cpu_only("asks the real libraries, for which no GPU is needed")

LOADERS = {"cuBLAS": libraries.load_cublas, "cuDNN": libraries.load_cudnn}  # the real ones: no GPU is emulated yet


def pathfinder(find: Any) -> types.ModuleType:
    module = types.ModuleType("cuda.pathfinder")
    module.load_nvidia_dynamic_lib = find  # type: ignore[attr-defined]
    return module


def not_found(name: str) -> Any:
    raise RuntimeError(f'Failure finding "lib{name}.so": No such file\n  listdir ...')


@pytest.mark.parametrize("name", LOADERS)
def test_without_cudas_libraries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder(not_found))
    file = {"cuBLAS": "cublas", "cuDNN": "cudart"}[name]
    with pytest.raises(DeviceError) as caught:
        LOADERS[name]()
    assert f"expected the library {file} of CUDA, got RuntimeError: Failure finding" in str(caught.value)
    assert "No such file; install the extra for your CUDA version: pip install" in str(caught.value)


def test_without_cupys_way_to_find_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    with pytest.raises(DeviceError, match="the library cublas of CUDA, got ModuleNotFoundError"):
        libraries.load_cublas()


def test_without_the_frontend_of_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    found = types.SimpleNamespace(abs_path="somewhere")
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder(lambda name: found))
    monkeypatch.setitem(sys.modules, "cudnn", None)
    with pytest.raises(DeviceError, match="cuDNN and the package 'nvidia-cudnn-frontend', got ModuleNotFoundError"):
        libraries.load_cudnn()


def test_with_the_frontend_but_without_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend_version() -> int:
        raise RuntimeError("Unable to find symbol cudnnGetVersion")

    found = types.SimpleNamespace(abs_path="somewhere")
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder(lambda name: found))
    monkeypatch.setitem(sys.modules, "cudnn", types.SimpleNamespace(backend_version=backend_version))
    with pytest.raises(DeviceError, match="got RuntimeError: Unable to find symbol cudnnGetVersion; install"):
        libraries.load_cudnn()


def test_what_is_missing_can_be_listed(emulated_gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_libraries(Kernels(get_device("cpu"))) == {}
    kernels = kernels_of(get_device("cuda"))
    assert missing_libraries(kernels) == {}
    monkeypatch.setattr(libraries, "load_cublas", LOADERS["cuBLAS"])
    monkeypatch.setattr(libraries, "load_cudnn", LOADERS["cuDNN"])
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder(not_found))
    get_device("cuda").kernels = None
    assert set(missing_libraries(kernels_of(get_device("cuda")))) == {"cuBLAS", "cuDNN"}
