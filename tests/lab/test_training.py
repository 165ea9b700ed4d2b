"""A training run: its numbers repeat, pairs share what they must share, and broken runs say so."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import data, interop, optim
from tinygrad_bn.backend import threads
from tinygrad_bn.errors import ShapeError
from tinygrad_bn.lab import RunConfig, train, training
from tinygrad_bn.lab.config import Condition
from tinygrad_bn.lab.executors import Processes, attempt
from tinygrad_bn.lab.runfolder import RunFolder
from tinygrad_bn.lab.training import build_model
from tinygrad_bn.lab.training_sections import steps_chart

TINY = RunConfig(dataset="synthetic", width=2, epochs=2, batch_size=50, order="swap", activation="tanh")


def numbers(metrics: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in metrics]


def test_the_same_config_gives_the_same_numbers_bit_for_bit() -> None:
    first = train(TINY)
    tg.manual_seed(99)
    tg.randn(5)
    second = train(TINY)
    assert numbers(first.metrics) == numbers(second.metrics)
    for name, tensor in first.model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), second.model.state_dict()[name].numpy())
    for name, array in first.probes.items():
        np.testing.assert_array_equal(array, second.probes[name])
    assert numbers(train(dataclasses.replace(TINY, seed=1)).metrics) != numbers(first.metrics)


def test_a_worker_process_gives_the_numbers_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_number", 1)  # as in a worker: sums are cut up for the threads that there are
    other = dataclasses.replace(TINY, order="convention")
    ended: list[RunConfig] = []
    Processes(2).run(tmp_path, [TINY, other], lambda running: None, ended.append)
    assert set(ended) == {TINY, other}
    for config in (TINY, other):
        here = train(config)
        folder = RunFolder(tmp_path, config)
        assert numbers(folder.metrics()) == numbers(here.metrics)
        assert folder.result()["test_accuracy"] == here.result["test_accuracy"]
        for name, array in folder.probes().items():
            np.testing.assert_array_equal(array, here.probes[name])
        assert folder.environment()["blas_threads"] == "1"
        saved = interop.load_file(folder.path / "checkpoint.safetensors")
        for name, tensor in here.model.state_dict().items():
            np.testing.assert_array_equal(saved[name].numpy(), tensor.numpy())


def test_pairs_have_the_same_initial_weights_and_the_same_batches() -> None:
    dataset = data.load("synthetic", "train")
    weights = []
    for order in ("convention", "swap", "preact"):
        config = dataclasses.replace(TINY, order=order, seed=5)
        tg.manual_seed(config.seed)
        model = build_model(config, dataset)
        weights.append([p.numpy() for name, p in model.named_parameters() if "conv" in name or "linear" in name])
    for other in weights[1:]:
        for a, b in zip(weights[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    # Batches come from a loader whose order depends on the seed and the epoch alone (tests/data/test_loader.py).


def test_training_learns_and_its_metrics_are_whole() -> None:
    seen: list[dict[str, float]] = []
    trained = train(dataclasses.replace(TINY, width=4, epochs=3), seen.append)
    assert seen == trained.metrics
    assert [line["epoch"] for line in seen] == [1, 2, 3]
    assert seen[-1]["train_loss"] < seen[0]["train_loss"]
    assert trained.result["test_accuracy"] == seen[-1]["test_accuracy"] > 60.0
    assert seen[-1]["learning_rate"] == pytest.approx(0.0, abs=1e-12)
    assert trained.result["diverged"] is False
    assert trained.result["layers"][0]["name"] == "features.0"
    assert not any(module.training for module in trained.model.modules())


@pytest.mark.parametrize("autocast", ["float16", "bfloat16"])
def test_training_in_mixed_precision_reaches_the_accuracy_of_float32(autocast: str) -> None:
    config = dataclasses.replace(TINY, width=4, epochs=3, step_probes=4, landscape=1, autocast=autocast)
    plain, mixed = train(dataclasses.replace(config, autocast="none")), train(config)
    assert mixed.metrics != plain.metrics
    assert abs(mixed.result["test_accuracy"] - plain.result["test_accuracy"]) < 10.0
    assert abs(mixed.result["test_accuracy_precise"] - plain.result["test_accuracy_precise"]) < 10.0
    assert {str(p.dtype) for p in mixed.model.parameters()} == {"float32"}
    # Of gradients that were made small again: those of the first step differ by rounding alone.
    first, expected = (run.steps["weight/gradient_norm"][0] for run in (mixed, plain))
    np.testing.assert_allclose(first, expected, rtol=0.02)
    assert mixed.landscape == plain.landscape  # in float32, before the first step
    for name, array in mixed.probes.items():
        assert array.shape == plain.probes[name].shape


def test_steps_that_float16_leaves_out_are_seen_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "loss_scaler", lambda config: optim.GradScaler(init_scale=2.0**27))
    steps = train(dataclasses.replace(TINY, autocast="float16", step_probes=1, epochs=1)).steps
    left_out = (steps["weight/update_ratio"] == 0.0).all(axis=1)
    assert left_out[0]
    assert not left_out[-1]
    overflowed = np.isnan(steps["weight/gradient_norm"]).any(axis=1)  # or another parameter's gradient has
    assert overflowed[0]
    assert left_out[overflowed].all()
    records = [SimpleNamespace(folder=SimpleNamespace(steps=lambda: steps))]
    comparison: Any = SimpleNamespace(orders=("swap",), of=lambda condition, order: records)
    assert steps_chart(comparison, Condition("tanh")).files(("svg",))


def test_the_precision_of_products_is_put_back() -> None:
    assert tg.get_float32_matmul_precision() == "highest"
    tg.set_float32_matmul_precision("medium")
    seen = []
    try:
        train(
            dataclasses.replace(TINY, float32_matmul_precision="high"),
            lambda line: seen.append(tg.get_float32_matmul_precision()),
        )
        assert tg.get_float32_matmul_precision() == "medium"
    finally:
        tg.set_float32_matmul_precision("highest")
    assert set(seen) == {"medium"}  # also between two epochs


def test_a_run_that_diverges_stops_and_says_so() -> None:
    with np.errstate(all="ignore"):
        trained = train(dataclasses.replace(TINY, learning_rate=1e30, epochs=5, order="no-norm", activation="relu"))
    assert trained.result["diverged"] is True
    assert trained.result["epochs"] < 5
    assert 0.0 <= trained.result["test_accuracy"] <= 100.0


def test_a_failure_is_recorded_with_its_cause(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, device="nonsense")
    assert attempt(tmp_path, config) is False
    error = RunFolder(tmp_path, config).error()
    assert error is not None
    assert error["type"] == "DeviceError"
    assert "nonsense" in error["message"]
    assert "Traceback" in error["traceback"]


def test_an_interrupt_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(folder: RunFolder, **how: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_bn.lab.executors.base.train_in_folder", interrupt)
    with pytest.raises(KeyboardInterrupt):
        attempt(tmp_path, TINY)
    assert RunFolder(tmp_path, TINY).error() is None


@pytest.mark.parametrize("schedule", ["constant", "cosine", "two_drops"])
def test_schedules_end_where_they_should(schedule: str) -> None:
    trained = train(dataclasses.replace(TINY, schedule=schedule, epochs=4, learning_rate=0.1))
    rates = [line["learning_rate"] for line in trained.metrics]
    expected = {
        "constant": [0.1] * 4,
        "cosine": [0.05 * (1 + np.cos(np.pi * epoch / 4)) for epoch in (1, 2, 3, 4)],
        "two_drops": [0.1, 0.01, 0.001, 0.001],
    }
    np.testing.assert_allclose(rates, expected[schedule], atol=1e-12)


def test_images_that_are_not_square_are_refused() -> None:
    images: Any = np.zeros((4, 1, 8, 6))
    with pytest.raises(ShapeError, match="square images"):
        build_model(TINY, data.Dataset(images, [0, 1, 2, 3]))
