"""`import tinygrad_bn` is silent and loads nothing from outside but NumPy; `make import-time` times it."""

from __future__ import annotations

import subprocess
import sys

LIST_MODULES = "import sys; import {module}; print(*sorted(sys.modules), sep='\\n')"


def modules_after_import(module: str) -> set[str]:
    """What a fresh interpreter has loaded after the import, which must succeed and print nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIST_MODULES.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    names = set(done.stdout.split())
    assert {"sys", module} <= names
    return names


def added_by_the_package() -> set[str]:
    """The modules beyond those of NumPy, which loads its random numbers when they are first used."""
    return modules_after_import("tinygrad_bn") - modules_after_import("numpy.random")


def test_import_is_silent_and_loads_nothing_else_from_outside() -> None:
    outside = {name.partition(".")[0] for name in added_by_the_package()} - set(sys.stdlib_module_names)
    assert outside == {"tinygrad_bn"}


def test_import_loads_no_upper_floor_and_no_slow_module_of_python() -> None:
    added = added_by_the_package()
    upper = ("tinygrad_bn.cli", "tinygrad_bn.data", "tinygrad_bn.lab", "tinygrad_bn.viz")
    slow = (
        "asyncio",
        "concurrent",
        "http",
        "multiprocessing",
        "sqlite3",
        "ssl",
        "unittest",
        "urllib.request",
    )
    assert [name for name in added if name.startswith(upper + slow)] == []
