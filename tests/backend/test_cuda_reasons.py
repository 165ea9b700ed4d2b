"""Why a GPU cannot be used, and what helps: each cause is named, and nothing falls back silently."""

from __future__ import annotations

import builtins
import importlib.metadata
import re
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.backend import available_devices, cuda, device, get_device, unavailable_reason
from tinygrad_bn.errors import DeviceError


class _RuntimeError(RuntimeError):
    """CuPy's error of the CUDA runtime; it has the error's number."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _fail(error: Exception) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        raise error

    return call


def _cupy(count: int = 1, driver: int = 13000, capability: str = "90", failure: _RuntimeError | None = None) -> Any:
    """A CuPy for CUDA 13 as far as opening a device asks for it."""

    class Gpu:
        compute_capability = capability

        def __init__(self, index: int) -> None:
            self.index = index

        def use(self) -> None:
            raise AssertionError("nothing is computed here")

    runtime = SimpleNamespace(
        CUDARuntimeError=_RuntimeError,
        getDeviceCount=_fail(failure) if failure else lambda: count,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: 13000,
    )
    compiler = SimpleNamespace(getVersion=lambda: (13, 0), getSupportedArchs=lambda: (75, 80, 90))
    return SimpleNamespace(
        cuda=SimpleNamespace(runtime=runtime, nvrtc=compiler, Device=Gpu),
        ndarray=type("ndarray", (), {}),
        asnumpy=lambda array: array,
    )


@pytest.fixture(autouse=True)
def _nothing_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_devices", {"cpu": get_device("cpu")})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def _reason(monkeypatch: pytest.MonkeyPatch, cupy: Any, name: str = "cuda") -> str:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    reason = unavailable_reason(name)
    assert reason is not None
    with pytest.raises(DeviceError) as caught:
        get_device(name)
    assert str(caught.value) == reason
    return reason


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    for name in ("cuda", "cuda:0", "cuda:3"):
        with pytest.raises(
            DeviceError, match=r"^in device 'cuda:\d': expected the package CuPy.*pip install 'tinygrad_bn\[cuda12\]'"
        ):
            get_device(name)
    assert available_devices() == ["cpu"]
    for call in (lambda: tg.ones(2).to("cuda"), lambda: tg.ones(2).cuda(), lambda: tg.ones(2, device="cuda")):
        with pytest.raises(DeviceError, match="CuPy"):
            call()


def _import_fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    real = builtins.__import__

    def importing(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "cupy":
            raise error
        return real(name, *arguments, **keywords)

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(builtins, "__import__", importing)


def test_a_cupy_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ImportError("\n=====\nFailed to import CuPy.\n=====\n")
    error.__cause__ = ImportError("libcudart.so.13: cannot open shared object file")
    _import_fails(monkeypatch, error)
    reason = unavailable_reason("cuda")
    assert reason is not None
    assert "got ImportError: libcudart.so.13: cannot open shared object file; install CuPy and its libraries" in reason
    assert "\n" not in reason


def test_two_wheels_of_cupy_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their files overwrite each other; what comes out may fail anywhere."""

    def distribution(name: str) -> None:
        if name not in ("cupy-cuda12x", "cupy-cuda13x"):
            raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    _import_fails(monkeypatch, AttributeError("module 'cupy' has no attribute 'cuda'"))
    reason = unavailable_reason("cuda")
    assert reason is not None
    assert "cupy-cuda12x and cupy-cuda13x overwrite each other's files: pip uninstall cupy-cuda12x" in reason


@pytest.mark.parametrize(
    ("driver", "failure", "visible", "message"),
    [
        (0, _RuntimeError(35, "insufficient"), None, r"expected an NVIDIA driver, got none; install the driver"),
        (
            12040,
            _RuntimeError(35, "insufficient"),
            None,
            r"expected a driver for CUDA 13.0, .+, got one for CUDA 12.4 at most; renew the driver, or .+ CUDA 12,",
        ),
        (13000, _RuntimeError(100, "no device"), None, r"expected an NVIDIA GPU, got a driver that sees none"),
        (
            13000,
            _RuntimeError(100, "no device"),
            "",
            r"expected an NVIDIA GPU, got none, with CUDA_VISIBLE_DEVICES='' set; unset it",
        ),
        (13000, _RuntimeError(3, "initialization error"), None, r"got initialization error; .+'spawn'"),
        (13000, _RuntimeError(802, "system not yet initialized"), None, r"got system not yet .+nvidia-smi"),
    ],
)
def test_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, driver: int, failure: _RuntimeError, visible: str | None, message: str
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    reason = _reason(monkeypatch, _cupy(driver=driver, failure=failure))
    assert re.search(message, reason)
    assert available_devices() == ["cpu"]


def test_a_driver_that_counts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a driver that sees none" in _reason(monkeypatch, _cupy(count=0))


def test_beyond_the_last_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = _reason(monkeypatch, _cupy(count=2), "cuda:2")
    assert reason == "in device 'cuda:2': expected an index below 2, the number of GPUs, got 2"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert "CUDA_VISIBLE_DEVICES=4,5 hides the others" in _reason(monkeypatch, _cupy(count=2), "cuda:4")


def test_a_gpu_that_is_too_old_for_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = _reason(monkeypatch, _cupy(capability="70"))
    assert "expected a GPU of compute capability 7.5, got one of 7.0, older than what CUDA 13.0 is made for" in reason
    assert "pip install 'tinygrad_bn[cuda12]'" in reason


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = _cupy()
    cupy.cuda.nvrtc.getVersion = _fail(RuntimeError('Failure finding "libnvrtc.so"'))
    assert "expected CUDA's compiler NVRTC, got RuntimeError: Failure finding" in _reason(monkeypatch, cupy)


def test_what_can_be_used_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", _cupy(count=2))
    assert available_devices() == ["cpu", "cuda:0", "cuda:1"]
    assert get_device("cuda") is get_device("cuda:0") is get_device("cuda:00")
    assert get_device("cuda:1").activate is not None
    assert cuda.device_count() == 2


def test_the_only_gpu_needs_no_activation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", _cupy(count=1))
    assert get_device("cuda").activate is None
    assert get_device("cpu").use() is np


def test_here_there_is_a_device_or_a_reason() -> None:
    """What the real CuPy says without a driver is understood; with a GPU there is nothing to say."""
    reason = unavailable_reason("cuda")
    assert reason is None or re.search(r"expected (the package CuPy|an NVIDIA)", reason)
