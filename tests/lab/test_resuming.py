"""A run that is stopped and taken up again ends bit for bit where an undisturbed one ends, whenever it is stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import TINY, assert_same, contents

import tinygrad_bn as tg
from tinygrad_bn.errors import DataError, StateError
from tinygrad_bn.lab import train
from tinygrad_bn.lab.executors import attempt
from tinygrad_bn.lab.runfolder import RunFolder
from tinygrad_bn.lab.statefile import read_state, write_state
from tinygrad_bn.lab.training import Training

pytest.importorskip("safetensors")

SETTINGS: list[dict[str, Any]] = [
    {},
    {"optimizer": "adam", "schedule": "one_cycle", "augmentation": "crop-flip"},
    {"step_probes": 3, "landscape": 3, "validation_share": 0.2},
    {"model": "mlp", "depth": 3, "gamma_weight_decay": 0.0, "beta_weight_decay": 0.1},
    {"model": "mobilenet", "order": "convention"},
    {"autocast": "float16", "order": "convention"},
    {"learning_rate": 1e30, "activation": "relu", "order": "no-norm"},  # diverges
]


class Stopped(BaseException):
    """As good as a kill: nothing that comes after it is done."""


def stop_after(calls: int) -> Callable[..., None]:
    left = [calls]

    def stop(*arguments: object, **keywords: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    return stop


def disturb_generator() -> None:
    tg.manual_seed(99)
    tg.randn(7)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: " ".join(map(str, settings.values())))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_run_goes_on_bit_for_bit_after_any_epoch(tmp_path: Path, settings: dict[str, Any]) -> None:
    config = dataclasses.replace(TINY, epochs=3, **settings)
    assert attempt(tmp_path / "undisturbed", config)
    for epoch in range(1, len(RunFolder(tmp_path / "undisturbed", config).metrics()) + 1):
        root = tmp_path / str(epoch)
        with pytest.raises(Stopped):
            attempt(root, config, check=stop_after(epoch))
        disturb_generator()
        assert not RunFolder(root, config).is_done
        assert attempt(root, config)
        assert [line["from_epoch"] for line in RunFolder(root, config).attempts()] == [0, epoch]
        assert_same(root, tmp_path / "undisturbed", [config])


@pytest.mark.parametrize(
    "moment",
    ["add_metrics", "write_state", "write_probes", "write_steps", "write_checkpoint", "write_result", "forget_state"],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_goes_on_from_whatever_was_written_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, when: str
) -> None:
    config = dataclasses.replace(TINY, epochs=2, step_probes=5)
    assert attempt(tmp_path / "undisturbed", config)
    write = getattr(RunFolder, moment)

    def interrupted(*arguments: Any) -> None:
        if when == "after":
            write(*arguments)
        raise Stopped

    monkeypatch.setattr(RunFolder, moment, interrupted)
    with pytest.raises(Stopped):
        attempt(tmp_path / "stopped", config)
    monkeypatch.undo()
    disturb_generator()
    assert attempt(tmp_path / "stopped", config)
    assert_same(tmp_path / "stopped", tmp_path / "undisturbed", [config])


def test_lines_beyond_the_state_are_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, TINY)
    with pytest.raises(Stopped):
        attempt(tmp_path, TINY, check=stop_after(2))
    folder.add_metrics({"epoch": 3, "test_accuracy": 0.0})
    with open(folder.path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"epoch": 4, "te')
    assert attempt(tmp_path, TINY)
    assert [line["epoch"] for line in folder.metrics()] == [1, 2, 3, 4]


def test_times_add_up(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        attempt(tmp_path, TINY, check=stop_after(2))
    state = RunFolder(tmp_path, TINY).state()
    assert state is not None
    RunFolder(tmp_path, TINY).write_state({**state, "seconds": 1000.0})
    assert attempt(tmp_path, TINY)
    assert 1000.0 < RunFolder(tmp_path, TINY).result()["seconds"] < 1100.0


def _cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(place: float) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        position = int(place * (len(content) - 1))
        return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]

    return flip


@pytest.mark.parametrize(
    "damage",
    [
        _cut_off,
        lambda content: b"",
        lambda content: b"\0" * 50,
        *map(_flip, (0.0, 0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)),
    ],
)
def test_a_damaged_state_means_the_start(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    assert attempt(tmp_path / "undisturbed", TINY)
    with pytest.raises(Stopped):
        attempt(tmp_path / "damaged", TINY, check=stop_after(2))
    folder = RunFolder(tmp_path / "damaged", TINY)
    path = folder.path / "state.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert attempt(tmp_path / "damaged", TINY)
    assert [line["from_epoch"] for line in folder.attempts()] == [0, 0]
    assert_same(tmp_path / "damaged", tmp_path / "undisturbed", [TINY])


def _of_another_seed(root: Path, state: dict[str, Any]) -> dict[str, Any]:
    training = Training(dataclasses.replace(TINY, seed=7))
    training.run_epoch()
    return training.state()


@pytest.mark.parametrize(
    "foreign",
    [
        _of_another_seed,
        lambda root, state: {**state, "of": {**state["of"], "tinygrad_bn": "0.0.1"}},
        lambda root, state: {**state, "of": {**state["of"], "numpy": "1.26.0"}},
        lambda root, state: {"of": state["of"]},
        lambda root, state: {**state, "model": {}},
        lambda root, state: {**state, "optimizer": {}},
        lambda root, state: {**state, "generator": {"bit_generator": "MT19937"}},
        lambda root, state: {**state, "metrics": None},
    ],
)
def test_a_foreign_state_means_the_start(
    tmp_path: Path, foreign: Callable[[Path, dict[str, Any]], dict[str, Any]]
) -> None:
    assert attempt(tmp_path / "undisturbed", TINY)
    with pytest.raises(Stopped):
        attempt(tmp_path / "foreign", TINY, check=stop_after(2))
    folder = RunFolder(tmp_path / "foreign", TINY)
    state = folder.state()
    assert state is not None
    folder.write_state(foreign(tmp_path, state))
    assert attempt(tmp_path / "foreign", TINY)
    assert_same(tmp_path / "foreign", tmp_path / "undisturbed", [TINY])


def test_a_state_of_another_run_is_refused() -> None:
    state = Training(TINY).state()
    with pytest.raises(StateError, match=r"Training\.load_state"):
        Training(dataclasses.replace(TINY, seed=1)).load_state(state)


def test_what_has_ended_leaves_no_state_and_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attempt(tmp_path, TINY)
    folder = RunFolder(tmp_path, TINY)
    assert folder.state() is None
    folder.write_state({"left": "behind"})
    before = (folder.path / "result.json").stat().st_mtime_ns
    monkeypatch.setattr("tinygrad_bn.lab.executors.base.train_in_folder", stop_after(1))
    assert attempt(tmp_path, TINY)
    assert not (folder.path / "state.safetensors").exists()
    assert (folder.path / "result.json").stat().st_mtime_ns == before


def test_a_failed_run_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    def fail() -> None:
        raise MemoryError("no room")

    assert not attempt(tmp_path, TINY, check=fail)
    assert RunFolder(tmp_path, TINY).error() is not None
    assert attempt(tmp_path, TINY)
    assert RunFolder(tmp_path, TINY).error() is None
    assert [line["from_epoch"] for line in RunFolder(tmp_path, TINY).attempts()] == [0, 1]


def test_a_state_holds_any_nesting_of_arrays(tmp_path: Path) -> None:
    content = {
        "whole numbers": [1, 2**100, None, True],
        "floats": [0.1, float("inf"), 5e-324],
        "arrays": {"a": np.arange(6.0)[::2], "b": [np.array(3, np.int64), np.zeros((0, 2), np.float32)]},
        "transposed": np.arange(6, dtype=np.int32).reshape(2, 3).T,
        "strings": np.array(["x", "längst"]),
        "no strings": np.array([], dtype=np.str_),
        "bools": np.array([True, False]),
        "tensor": tg.tensor([1.0, 2.0]),
    }
    write_state(tmp_path / "state", content)
    again = read_state(tmp_path / "state")
    np.testing.assert_equal(again, {**content, "tensor": np.array([1.0, 2.0], np.float32)})
    assert again["transposed"].dtype == np.int32


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"something else")
    with pytest.raises(DataError, match="safetensors"):
        read_state(tmp_path / "state")
    with pytest.raises(DataError):
        read_state(tmp_path / "absent")


def test_held_out_images_take_the_place_of_the_test_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_bn import data

    load = data.load

    def training_set_only(name: str, part: str) -> data.Dataset:
        assert part == "train", "the test set was touched"
        return load(name, part)

    monkeypatch.setattr(data, "load", training_set_only)
    config = dataclasses.replace(TINY, epochs=1, validation_share=0.25)
    held_out = []
    for seed in (0, 1):
        training = Training(dataclasses.replace(config, seed=seed))
        held_out.append(training._evaluation_set.images)
        training.run_epoch()
        result = training.finish().result
        assert result["evaluated_on"] == "validation"
        assert (result["training_images"], result["test_images"]) == (600, 200)
    np.testing.assert_array_equal(*held_out)
    whole = {image.tobytes() for image in load("synthetic", "train").images}
    rest = {image.tobytes() for image in training._training_set.images}
    assert {image.tobytes() for image in held_out[0]} == whole - rest


def test_precise_statistics_are_those_of_training_batches_without_a_change_of_the_model() -> None:
    trained = train(dataclasses.replace(TINY, epochs=1))
    assert trained.result["evaluated_on"] == "test"
    assert 0.0 <= trained.result["test_accuracy_precise"] <= 100.0
    assert trained.result["test_loss_precise"] != trained.result["test_loss"]
    names = {
        name
        for name, module in trained.model.named_modules()
        if isinstance(module, tg.nn.BatchNorm1d | tg.nn.BatchNorm2d)
    }
    assert set(trained.result["running_distances"]) == names != set()
    for distance in trained.result["running_distances"].values():
        assert distance["mean"] > 0.0
        assert distance["variance"] > 0.0
    without = train(dataclasses.replace(TINY, epochs=1, order="no-norm"))
    assert without.result["test_accuracy_precise"] is None
    assert without.result["running_distances"] is None


def test_steps_and_landscape_are_recorded_where_they_were_asked_for(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, epochs=2, step_probes=10, landscape=3)
    assert attempt(tmp_path, config)
    folder = RunFolder(tmp_path, config)
    assert folder.steps()["step"].tolist() == [0, 10, 20, 30]
    looks = folder.landscape()
    assert [look["step"] for look in looks] == [0, 10, 21]  # of 32
    assert looks[0]["losses"] != looks[1]["losses"]
    assert looks[0]["hessian"]["iterations"] > 0
    plain = dataclasses.replace(TINY, epochs=2)
    assert attempt(tmp_path, plain)
    assert RunFolder(tmp_path, plain).steps() == {}
    assert RunFolder(tmp_path, plain).landscape() == []
    assert contents(tmp_path, plain)["checkpoint"] == contents(tmp_path, config)["checkpoint"]  # they only look
