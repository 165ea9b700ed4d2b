"""`pytest --device cuda`: the same test bodies with another default device, so on a GPU, a real or an emulated one."""

from __future__ import annotations

import pytest
import stand_in

from tinygrad_bn.backend import set_default_device, unavailable_reason


def add_option(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--device", default="cpu", help="where tests compute that name no device: cpu, cuda, cuda:N")


def is_emulated(config: pytest.Config) -> bool:
    """Return whether an emulated GPU is there from the first test to the last one."""
    return config.getoption("--device") != "cpu" and bool(config.getoption("--emulated-gpu"))


def use(config: pytest.Config) -> None:
    """Make the device the default one before any test file is read: some make tensors while they are imported."""
    name = config.getoption("--device")
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
        about_the_cpu = item.get_closest_marker("cpu_only")
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif about_the_cpu is not None:
            item.add_marker(pytest.mark.skip(reason=f"about the CPU alone: {about_the_cpu.args[0]}"))
