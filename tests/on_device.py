"""`pytest --device cuda`: the same test bodies with another default device, so on a GPU, a real or an emulated one."""

from __future__ import annotations

import argparse
import os
import re
import traceback

import pytest
import stand_in
from stand_in.gpu import use_real

import tinygrad_bn as tg
from tinygrad_bn.backend import get_device, set_default_device, unavailable_reason


def add_option(parser: pytest.Parser) -> None:
    """Add the option."""
    where = "where tests compute that name no device: cpu, cuda, cuda:N"
    parser.addoption("--device", default="cpu", type=_device_name, help=where)


def _device_name(name: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):  # it cannot be used either, but skipping all tests would hide that
        raise argparse.ArgumentTypeError(f"expected cpu, cuda or cuda:N, got {name!r}")
    return name


def is_emulated(config: pytest.Config) -> bool:
    """Return whether an emulated GPU is there from the first test to the last one."""
    return config.getoption("--device") != "cpu" and bool(config.getoption("--emulated-gpu"))


def is_real(config: pytest.Config) -> bool:
    """Return whether the tests run on a real GPU."""
    name = config.getoption("--device")
    return name != "cpu" and not is_emulated(config) and unavailable_reason(name) is None


def use(config: pytest.Config) -> None:
    """Make the device the default one before any test file is read: some make tensors while they are imported."""
    name = config.getoption("--device")
    if is_real(config):
        use_real(get_device(name).xp)
    if is_emulated(config):
        emulated = stand_in.emulated_gpu()
        emulated.__enter__()
        config.add_cleanup(lambda: emulated.__exit__(None, None, None))
    if unavailable_reason(name) is None:
        set_default_device(name)


def mark(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark all tests as a GPU's, and leave out those that cannot run on it, each with the reason."""
    name = config.getoption("--device")
    if name == "cpu":
        return
    reason = unavailable_reason(name)
    for item in items:
        item.add_marker(pytest.mark.gpu)
        if item.path.name.startswith("test_cpu_"):
            item.add_marker(pytest.mark.cpu_only("tests its kernels"))
        about_the_cpu, about_the_emulation = (item.get_closest_marker(word) for word in ("cpu_only", "emulated_only"))
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif about_the_cpu is not None:
            item.add_marker(pytest.mark.skip(reason=f"about the CPU alone: {about_the_cpu.args[0]}"))
        elif about_the_emulation is not None and is_real(config):
            item.add_marker(pytest.mark.skip(reason=f"about the emulated GPU: {about_the_emulation.args[0]}"))


def check(config: pytest.Config) -> None:
    """Wait for a real GPU after a test, and end this process if the test has broken it: all that follows would fail.

    pytest-xdist goes on with a new process.
    """
    try:
        tg.cuda.synchronize(config.getoption("--device"))
    except Exception:  # noqa: BLE001 - CuPy's own, whatever it is
        traceback.print_exc()
        if hasattr(config, "workerinput"):
            os._exit(70)
        pytest.exit("the GPU does not answer any more", returncode=70)
