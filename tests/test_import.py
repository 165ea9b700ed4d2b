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


def test_import_is_silent_and_loads_only_numpy_from_outside() -> None:
    added = modules_after_import("tinygrad_bn") - modules_after_import("numpy")
    outside = {name.partition(".")[0] for name in added} - set(sys.stdlib_module_names) - {"tinygrad_bn"}
    assert outside == set()


def test_import_does_not_load_the_laboratory_or_slow_modules_of_python() -> None:
    added = modules_after_import("tinygrad_bn") - modules_after_import("numpy")
    slow = {
        "asyncio",
        "concurrent.futures",
        "http",
        "multiprocessing",
        "sqlite3",
        "ssl",
        "unittest",
        "urllib.request",
    }
    assert added & slow == set()
    assert not [
        name for name in added if name.startswith(("tinygrad_bn.lab", "tinygrad_bn.cli", "tinygrad_bn.viz"))
    ]
