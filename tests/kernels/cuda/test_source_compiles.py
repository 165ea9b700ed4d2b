"""The CUDA C++ compiles as CuPy compiles it, for the oldest and the newest GPU that we mean; no GPU is needed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from stand_in.compiling import compiled

from tinygrad_bn.kernels.cuda.compiler import SCALARS, options, source

pytestmark = pytest.mark.cpu_only("asks the real libraries, for which no GPU is needed")

nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="the package CuPy is not installed")

Recorder = Callable[[str, object], None]
ADDED_BY_CUPY = ("-ftz=true", "--device-as-default-execution-space")
ACTIVATIONS = re.findall(r"^struct (\w+) : of_", source(), re.MULTILINE)
USAGE = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
    r".*?Used (\d+) registers",
    re.DOTALL,
)
MOST_REGISTERS = 128
"""Of which 512 threads fill a multiprocessor."""


def log_of(code: str, dtype: str, architecture: str, activation: str) -> str:
    """Compile for a GPU and return what the compiler says, registers and spilling included."""
    try:
        program = nvrtc.createProgram(code, "kernels.cu", (), ())
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"CUDA's compiler NVRTC is not installed: {error}")
    given = (*options(dtype, activation), *ADDED_BY_CUPY, f"-arch={architecture}", "--ptxas-options=-v")
    try:
        nvrtc.compileProgram(program, given)
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    try:
        return str(nvrtc.getProgramLog(program))
    finally:
        nvrtc.destroyProgram(program)


def assert_no_spilling(log: str, record_property: Recorder) -> None:
    found = USAGE.findall(log)
    assert found
    for name, _, stores, loads, registers in found:
        record_property(name, registers)
        assert (name, stores, loads) == (name, "0", "0")
        assert int(registers) <= MOST_REGISTERS, name


# Every dtype for the newest, and one for the oldest: the compiler takes some seconds for each.
@pytest.mark.parametrize(("dtype", "architecture"), [*((dtype, "sm_90") for dtype in SCALARS), ("float32", "sm_80")])
def test_every_kernel_compiles_without_spilling(dtype: str, architecture: str, record_property: Recorder) -> None:
    log = log_of(source(), dtype, architecture, "identity")
    assert_no_spilling(log, record_property)
    assert "warning" not in log
    assert {name for name, *_ in USAGE.findall(log)} == set(compiled(source(), options(dtype, "identity")))


@pytest.mark.parametrize("dtype", SCALARS)
def test_every_activation_compiles(dtype: str) -> None:
    assert len(ACTIVATIONS) > 20
    uses = "".join(
        f'extern "C" __global__ void use_{name}(real* x) {{\n'
        f"  x[1] = activations::{name}::value(x[0], x[2], x[3]);\n"
        f"  x[4] = activations::{name}::slope(x[0], x[2], x[3]);\n}}\n"
        for name in ACTIVATIONS
    )
    code = source().partition('#line 1 "reduction.cuh"')[0] + uses
    log = log_of(code, dtype, "sm_90", "identity")
    assert {name for name, *_ in USAGE.findall(log)} == {f"use_{name}" for name in ACTIVATIONS}


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "mish"])
def test_activations_do_not_make_kernels_spill(activation: str, record_property: Recorder) -> None:
    assert_no_spilling(log_of(source(activation), "float32", "sm_90", activation), record_property)
