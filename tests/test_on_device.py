"""The option `--device`: which tests run, where, and what is said of the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ABOUT_ANY_DEVICE = "tests/backend/test_default_device.py::test_what_is_made_without_a_device_lives_there"
ABOUT_THE_CPU = "tests/backend/test_default_device.py::test_it_is_the_cpu_at_first"


def run(*options: str, returncode: int = 0) -> str:
    """Return what pytest says of two tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TINYGRAD_BN")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            *options,
            ABOUT_ANY_DEVICE,
            ABOUT_THE_CPU,
        ],
        cwd=ROOT,
        env=environment | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.cpu_only("starts pytest anew")
def test_without_a_gpu_all_are_skipped_with_the_reason() -> None:
    said = run("--device", "cuda")
    assert "2 skipped" in said
    assert "in device 'cuda:0': expected" in said


@pytest.mark.cpu_only("starts pytest anew")
def test_on_a_gpu_only_what_is_about_the_cpu_is_left_out() -> None:
    said = run("--device", "cuda", "--emulated-gpu")
    assert "1 passed, 1 skipped" in said
    assert "about the CPU alone: asks for the default that nobody has changed" in said


@pytest.mark.cpu_only("starts pytest anew")
@pytest.mark.parametrize("name", ["cdua", "cuda:", "cuda1", "gpu", ""])
def test_a_name_of_no_device_is_a_usage_error(name: str) -> None:
    said = run("--device", name, returncode=pytest.ExitCode.USAGE_ERROR)
    assert f"argument --device: expected cpu, cuda or cuda:N, got {name!r}" in said


def test_the_default_is_the_cpu() -> None:
    assert "2 passed" in run()
