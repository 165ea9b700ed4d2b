"""What every test stands on: one thread, one seed, a list of devices, and no silent skip in CI."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from types import ModuleType

# Set before NumPy, PyTorch or Matplotlib is loaded: results repeat, workers share the cores, no window opens.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"

import hypothesis
import on_device
import pytest
import stand_in

from tinygrad_bn.backend import manual_seed, unavailable_reason

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=2000, print_blob=True)
hypothesis.settings.load_profile("ci")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    manual_seed(0)


def pytest_addoption(parser: pytest.Parser) -> None:
    on_device.add_option(parser)
    parser.addoption(
        "--emulated-gpu",
        action="store_true",
        default=os.environ.get("TINYGRAD_BN_TEST_GPU") == "emulated",
        help="run the tests of GPUs on one that is emulated on the CPU (also: TINYGRAD_BN_TEST_GPU=emulated)",
    )


def pytest_configure(config: pytest.Config) -> None:
    on_device.use(config)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    if on_device.is_real(item.config):
        on_device.check(item.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on_device.mark(config, items)


@pytest.fixture
def emulated_gpu() -> Iterator[ModuleType]:
    """A GPU that is emulated on the CPU, as "cuda" and "cuda:0"; the value is the module that stands in for CuPy.

    With --device on a real GPU it is that one, and CuPy itself.
    """
    with stand_in.emulated_gpu() as cupy:
        yield cupy


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The name of each device in turn; where one cannot be used, the test is skipped with the reason."""
    name: str = request.param
    if name == "cuda" and request.config.getoption("--emulated-gpu"):
        request.getfixturevalue("emulated_gpu")
    reason = unavailable_reason(name)
    if reason:
        pytest.skip(reason)
    return name


# With TINYGRAD_BN_CI=1 only tests that need a GPU, or Node.js for building the page, may be skipped: a missing oracle
# or data set is a failure.


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"TINYGRAD_BN_CI=1 is set, so nothing but GPU and Node.js tests may be skipped. {reason}"


if os.environ.get("TINYGRAD_BN_CI") == "1":

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        item: pytest.Item,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if item.get_closest_marker("gpu") is None and item.get_closest_marker("node") is None:
            _fail_if_skipped(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        _fail_if_skipped(report)
        return report
