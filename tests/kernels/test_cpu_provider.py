"""The compiled provider as a whole: it keeps the contract, and it is chosen, forced and refused as documented."""

from __future__ import annotations

import importlib.util
import inspect
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

import tinygrad_bn as tg
from tinygrad_bn.kernels import Kernels, kernels_of, served_by, unusable_reason
from tinygrad_bn.kernels.cpu import CpuKernels


def test_every_override_has_the_references_signature() -> None:
    """Also of private methods: one that has a name of the reference's by accident would be called in its place."""
    overridden = [
        name
        for name, method in inspect.getmembers(Kernels, inspect.isfunction)
        if getattr(CpuKernels, name) is not method and name != "__init__"
    ]
    assert {"conv2d", "batch_norm", "norm_act", "max_pool2d", "matmul"} <= set(overridden)
    for name in overridden:
        ours, reference = (inspect.signature(getattr(kind, name)) for kind in (CpuKernels, Kernels))
        assert list(ours.parameters) == list(reference.parameters), name


def test_no_two_overrides_have_a_name_in_common() -> None:
    seen: dict[str, str] = {}
    for kind in CpuKernels.__mro__:
        if kind.__module__.startswith("tinygrad_bn.kernels.cpu."):
            for name, value in vars(kind).items():
                if inspect.isfunction(value):
                    assert seen.setdefault(name, kind.__name__) == kind.__name__, name


def test_what_serves_what() -> None:
    served = served_by(CpuKernels(tg.get_device("cpu")))
    assert {"conv2d", "conv2d_input_grad", "conv2d_weight_grad"} <= set(served["cpu"])
    assert "scatter_add" in served["reference"]
    assert not set(served["cpu"]) & set(served["reference"])


def provider_in_a_new_process(forced: str | None, without_numba: bool = False) -> str:
    hide = "import sys; sys.modules['numba'] = None\n" if without_numba else ""
    code = hide + (
        "import tinygrad_bn as tg\n"
        "from tinygrad_bn.kernels import kernels_of\n"
        "try:\n"
        "    print(kernels_of(tg.get_device('cpu')).name)\n"
        "except tg.errors.TinygradBNError as error:\n"
        "    print(error)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TINYGRAD_BN_KERNELS"}
    if forced is not None:
        environment["TINYGRAD_BN_KERNELS"] = forced
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("forced", "expected"), [(None, "cpu"), ("", "cpu"), ("cpu", "cpu"), ("reference", "reference")]
)
def test_the_provider_can_be_forced(forced: str | None, expected: str) -> None:
    assert provider_in_a_new_process(forced) == expected


def test_without_numba_the_reference_serves_and_forcing_says_what_is_missing() -> None:
    assert provider_in_a_new_process(None, without_numba=True) == "reference"
    message = provider_in_a_new_process("cpu", without_numba=True)
    assert "numba" in message
    assert "tinygrad_bn[fast]" in message


def test_it_cannot_serve_another_device() -> None:
    from stand_in import stand_in_device

    reason = unusable_reason("cpu", stand_in_device())
    assert reason is not None
    assert "'cpu' for" in reason
    assert kernels_of(stand_in_device()).name == "reference"


@pytest.mark.parametrize("dtype", ["float16", "int64"])
def test_other_dtypes_go_to_the_reference(dtype: str) -> None:
    cpu = tg.get_device("cpu")
    a = np.arange(60).reshape(3, 20).astype(dtype)
    np.testing.assert_array_equal(CpuKernels(cpu).matmul(a, a.T), Kernels(cpu).matmul(a, a.T))


def test_numba_is_not_imported_before_it_is_used() -> None:
    assert importlib.util.find_spec("numba") is not None
    code = "import sys, tinygrad_bn; print('numba' in sys.modules, 'threadpoolctl' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "False"]
