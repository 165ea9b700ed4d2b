"""What tests of resuming and of executors share: tiny runs, what they come to, and undisturbed ones to compare with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.runfolder import RunFolder

TINY = RunConfig(dataset="synthetic", width=2, epochs=4, batch_size=50, order="swap", activation="tanh")


def seeds(config: RunConfig, number: int) -> list[RunConfig]:
    """The same run with several seeds."""
    return [dataclasses.replace(config, seed=seed) for seed in range(number)]


def timeless(content: Any) -> Any:
    """Without the times, which no two runs share."""
    if isinstance(content, list):
        return [timeless(part) for part in content]
    if isinstance(content, dict):
        return {name: timeless(part) for name, part in content.items() if name != "seconds"}
    return content


def contents(root: Path, config: RunConfig) -> dict[str, Any]:
    """Everything that a run has left, but times: bytes of the files that hold none."""
    folder = RunFolder(root, config)
    assert folder.is_done, folder.error()
    return {
        "result": timeless(folder.result()),
        "metrics": timeless(folder.metrics()),
        "landscape": folder.landscape(),
        "probes": folder.probes(),
        "steps": folder.steps(),
        "checkpoint": (folder.path / "checkpoint.safetensors").read_bytes(),
        "files": sorted(path.name for path in folder.path.iterdir()),
    }


def assert_same(root: Path, other: Path, configs: Sequence[RunConfig]) -> None:
    """These runs came to the same in both folders, bit for bit."""
    for config in configs:
        np.testing.assert_equal(contents(root, config), contents(other, config))


def assert_no_epoch_was_lost(root: Path, configs: Sequence[RunConfig], disturbances: int) -> None:
    """No attempt started before an epoch that another one had left, and there were not more attempts than reasons."""
    extra = 0
    for config in configs:
        starts = [attempt["from_epoch"] for attempt in RunFolder(root, config).attempts()]
        assert starts == sorted(starts), f"{config.label} went back: {starts}"
        assert starts[0] == 0
        assert starts[-1] <= config.epochs
        extra += len(starts) - 1
    assert extra <= disturbances
