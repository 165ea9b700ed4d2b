"""`pytest --device cuda`: the same test bodies with another default device, so on a GPU."""

from __future__ import annotations

import pytest

from tinygrad_bn.backend import set_default_device, unavailable_reason


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device", default="cpu", help="what tests compute on, where they name no device: cpu, cuda, cuda:N"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Before any test file is read: some make tensors while they are imported.
    name = config.getoption("--device")
    if unavailable_reason(name) is None:
        set_default_device(name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
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
