"""A comparison with made-up results, written as a real one is, for what only reads folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import data
from tinygrad_bn.functional import ACTIVATIONS
from tinygrad_bn.lab import probes
from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig, RunConfig
from tinygrad_bn.lab.runfolder import RunFolder, write_json
from tinygrad_bn.lab.training import build_model

SMALL = CompareConfig(activations=("tanh", "relu"), seeds=(0, 1, 2, 3, 4, 5), epochs=3)


def write_run(root: Path, run: RunConfig, accuracy: float) -> None:
    """A finished run of two blocks, with probes of random values."""
    generator = np.random.default_rng(run.seed)
    folder = RunFolder(root, run)
    folder.begin()
    for epoch in range(1, run.epochs + 1):
        folder.add_metrics(
            {
                "epoch": epoch,
                "train_loss": 1.0 / epoch,
                "test_loss": 1.1 / epoch,
                "test_accuracy": accuracy - 10.0 / epoch,
                "learning_rate": 0.1,
                "seconds": 1.0,
            }
        )
    folder.write_environment({"python": "3.11", "processor": "made up"})
    traits = ACTIVATIONS[run.activation]
    recorder = probes.Recorder(["features/0", "features/1"], traits.lower, traits.upper)
    for layer in range(2):
        values = generator.normal(size=(50, 4, 3, 3))
        values = np.tanh(values) if run.activation == "tanh" else np.maximum(values, 0.0)
        recorder.add(layer, probes.ACTIVATION_OUTPUT, values)
        recorder.add(layer, probes.BLOCK_OUTPUT, values * (2.0 if run.order == "swap" else 1.0))
    arrays = recorder.arrays()
    folder.write_probes(arrays)
    folder.write_result(
        {
            "test_accuracy": accuracy,
            "test_loss": 0.5,
            "seconds": 2.0,
            "diverged": False,
            "layers": probes.mechanism(arrays),
        }
    )


def write_comparison(root: Path, config: CompareConfig, gain: float, leave_out: int) -> Comparison:
    write_json(root / "config.json", config.to_dict())
    comparison = Comparison(root)
    for record in comparison.tuning_records:
        write_run(root, record.config, 70.0 + record.config.learning_rate)
    records = Comparison(root).records
    for record in records[: len(records) - leave_out]:
        place, seed = config.orders.index(record.order), record.config.seed
        write_run(root, record.config, 80.0 + 0.3 * seed + place * gain * (1.0 + 0.1 * seed))
    return Comparison(root)


def record_graphs(comparison: Comparison) -> None:
    """Let two seeds of the first condition's orders have recorded their graphs, as a training does."""
    images = tg.tensor(np.random.default_rng(0).standard_normal((4, 1, 28, 28)).astype("float32"))
    for order in comparison.orders:
        for record in comparison.of(comparison.conditions[0], order)[:2]:
            run = record.config
            tg.manual_seed(run.seed)
            probe = probes.GraphProbe(build_model(run, data.load(run.dataset, "test")), images, tg.tensor(np.arange(4)))
            for name in ("start", "epoch 3"):
                probe.look(name)
            record.folder.write_graph(probe.frames)


@pytest.fixture(name="write_comparison", scope="session")
def write_comparison_fixture() -> Callable[[Path, CompareConfig, float, int], Comparison]:
    """The function that writes and opens a comparison in any folder."""
    return write_comparison


@pytest.fixture
def make_comparison(tmp_path: Path) -> Callable[..., Comparison]:
    """Returns a function that writes and opens a comparison; `gain` is what every order after the first gains."""

    def make(config: CompareConfig = SMALL, gain: float = 1.0, leave_out: int = 0) -> Comparison:
        return write_comparison(tmp_path, config, gain, leave_out)

    return make


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A finished comparison, for tests that only read it."""
    comparison = write_comparison(tmp_path_factory.mktemp("comparison"), SMALL, 1.0, 0)
    record_graphs(comparison)
    return comparison
