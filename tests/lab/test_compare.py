"""The main job: what is done stays done, what broke is redone or told, whoever is killed when."""

from __future__ import annotations

import dataclasses
import importlib.util
import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tinygrad_bn.errors import ArgumentError, DataError, DeviceError, MissingDependencyError
from tinygrad_bn.lab import CompareConfig, RunConfig, compare
from tinygrad_bn.lab.executors import Processes, base
from tinygrad_bn.lab.runfolder import RunFolder

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")

TINY = CompareConfig(dataset="synthetic", width=2, epochs=1, batch_size=100, activations=("tanh",), seeds=(0, 1))


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs and figures take most of the time of a tiny comparison; where they do not matter they are left out."""
    monkeypatch.setattr("tinygrad_bn.lab.main_job.draw_graphs", lambda comparison: None)


def test_everything_is_written(tmp_path: Path) -> None:
    comparison = compare(TINY, out=tmp_path, jobs=0)
    assert comparison.unfinished == []
    assert len(comparison.pairs("tanh")[0].differences) == 2
    assert (tmp_path / "report.html").is_file()
    assert {path.name for path in (tmp_path / "graphs").iterdir()} == {"tanh-convention.svg", "tanh-swap.svg"}
    folder = comparison.records[0].folder
    assert {path.name for path in folder.path.iterdir()} == {
        "attempts.jsonl",
        "config.json",
        "env.json",
        "lock",
        "metrics.jsonl",
        "graph.jsonl.gz",
        "probes.npz",
        "checkpoint.safetensors",
        "result.json",
    }


@pytest.mark.usefixtures("without_pictures")
def test_nothing_is_trained_twice_and_a_half_written_run_is_redone(tmp_path: Path) -> None:
    comparison = compare(TINY, out=tmp_path, jobs=0)
    folder = comparison.records[0].folder
    marks = [record.folder.path / "result.json" for record in comparison.records]
    before = [mark.stat().st_mtime_ns for mark in marks]
    folder.path.joinpath("metrics.jsonl").write_text("", encoding="utf-8")  # would come back if trained again
    again = compare(TINY, out=tmp_path, jobs=0)
    assert [mark.stat().st_mtime_ns for mark in marks] == before
    assert again.records[0].metrics == []

    # A run without its mark is redone, and gives the numbers that it gave before.
    accuracy = comparison.records[1].result["test_accuracy"]
    marks[1].unlink()
    redone = compare(TINY, out=tmp_path, jobs=0)
    assert redone.records[1].result["test_accuracy"] == accuracy
    assert [mark.stat().st_mtime_ns for mark in marks[2:]] == before[2:]


@pytest.mark.usefixtures("without_pictures")
def test_more_seeds_in_the_same_folder_keep_the_runs_that_are_there(tmp_path: Path) -> None:
    compare(dataclasses.replace(TINY, seeds=(0,)), out=tmp_path, jobs=0)
    trained = {path.name for path in (tmp_path / "runs").iterdir()}
    comparison = compare(TINY, out=tmp_path, jobs=0)
    assert trained < {path.name for path in (tmp_path / "runs").iterdir()}
    assert len(comparison.finished) == 4


@pytest.mark.usefixtures("without_pictures")
def test_a_run_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    train = base.train_in_folder

    def sometimes(folder: RunFolder, **how: Any) -> None:
        if folder.config.seed == 0 and folder.config.order == "swap":
            raise MemoryError("no room")
        train(folder, **how)

    monkeypatch.setattr(base, "train_in_folder", sometimes)
    comparison = compare(TINY, out=tmp_path, jobs=0)
    assert [record.failure for record in comparison.unfinished] == ["MemoryError: no room"]
    assert comparison.pairs("tanh")[0].seeds == (1,)
    assert "MemoryError: no room" in (tmp_path / "report.html").read_text(encoding="utf-8")
    monkeypatch.undo()
    assert compare(TINY, out=tmp_path, jobs=0).unfinished == []


def test_a_killed_worker_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    slow = RunConfig(dataset="fashion_mini", epochs=50, width=8)
    quick = RunConfig(dataset="synthetic", epochs=1, width=2, seed=1)
    ended: list[RunConfig] = []

    def kill_the_slow_one(running: Sequence[RunConfig]) -> None:
        if slow in running and RunFolder(tmp_path, slow).path.is_dir():
            for process in multiprocessing.active_children():
                if process.name == slow.label and process.pid is not None:
                    os.kill(process.pid, signal.SIGKILL)

    Processes(2).run(tmp_path, [slow, quick], kill_the_slow_one, ended.append)
    assert set(ended) == {slow, quick}
    assert RunFolder(tmp_path, quick).is_done
    assert not RunFolder(tmp_path, slow).is_done
    error = RunFolder(tmp_path, slow).error()
    assert error is not None
    assert "signal 9" in error["message"]
    assert multiprocessing.active_children() == []


def test_workers_end_when_the_parent_is_interrupted(tmp_path: Path) -> None:
    slow = RunConfig(dataset="fashion_mini", epochs=50, width=8)
    before = {name: os.environ.get(name) for name in base.THREAD_VARIABLES}

    def interrupt(running: Sequence[RunConfig]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Processes(1).run(tmp_path, [slow], interrupt, lambda run: None)
    assert multiprocessing.active_children() == []
    assert not RunFolder(tmp_path, slow).is_done
    assert {name: os.environ.get(name) for name in base.THREAD_VARIABLES} == before


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (dataclasses.replace(TINY, device="gpu"), DeviceError, "cuda"),
        (dataclasses.replace(TINY, batch_size=801), ArgumentError, "batch_size of at most 800"),
        (dataclasses.replace(TINY, model="vgg11", dataset="mnist"), DataError, "mnist"),
    ],
)
def test_what_cannot_work_is_refused_before_any_harm(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: CompareConfig,
    error: type[Exception],
    message: str,
) -> None:
    def no_network(*arguments: object) -> None:
        raise DataError("in download: mnist cannot be fetched")

    monkeypatch.setattr("tinygrad_bn.data.full_sets.download", no_network)
    monkeypatch.setattr("tinygrad_bn.data.full_sets.find_file", lambda folders, names: None)
    with pytest.raises(error, match=message):
        compare(config, out=tmp_path / "out", jobs=0)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_told_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"'scipy'.*tinygrad_bn\[lab\]"):
        compare(TINY, out=tmp_path / "out", jobs=0)
    assert not (tmp_path / "out").exists()


def test_out_must_not_be_a_file_and_jobs_not_negative(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    with pytest.raises(ArgumentError, match="out to be a folder"):
        compare(TINY, out=file, jobs=0)
    with pytest.raises(ArgumentError, match="jobs of at least 0"):
        compare(TINY, out=tmp_path / "out", jobs=-1)


@pytest.mark.usefixtures("without_pictures")
def test_the_folder_is_named_by_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(TINY, seeds=(0,))
    comparison = compare(config, jobs=0)
    assert comparison.root == Path("runs") / f"compare-{config.fingerprint}"
