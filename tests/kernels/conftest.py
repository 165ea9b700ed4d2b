"""Kernels get memory that is full of NaN and watched at its edges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guarded import guarded

from tinygrad_bn.backend import get_device


@pytest.fixture(autouse=True)
def _watched_memory() -> Iterator[None]:
    with guarded(get_device("cpu")):
        yield
