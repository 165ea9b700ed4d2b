"""Chromium without a window, for tests, which are skipped where there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.drawing import chromium as driver
from benchmarks.drawing.chromium import Chromium

__all__ = ["Chromium", "chromium"]


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """Start Chromium with an empty profile in this folder."""
    if driver.installed() is None:
        pytest.skip("no Chromium: install Debian's chromium")
    with driver.chromium(profile) as browser:
        yield browser
