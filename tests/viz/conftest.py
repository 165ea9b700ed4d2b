"""What the drawing tests share: one small network, and machines with and without an engine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tinygrad_bn import nn


@pytest.fixture
def model() -> nn.Module:
    """Two blocks in Swap order, a pooling and a classifier."""
    return nn.Sequential(
        nn.ConvBlock(1, 4, 3, padding=1, order="swap", activation="tanh"),
        nn.MaxPool2d(2),
        nn.ConvBlock(4, 8, 3, padding=1, order="swap", activation="tanh"),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 10),
    )


@pytest.fixture
def without_dot(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine that has no program `dot`."""
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.setenv("PATH", str(empty))
    return empty


@pytest.fixture
def without_engine(without_dot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has neither `dot` nor pygraphviz."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
