"""Executors: the same numbers whoever trains; what is killed goes on; two at once do not meet."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sweeps import TINY, assert_no_epoch_was_lost, assert_same, seeds

from tinygrad_bn.errors import ArgumentError, MissingDependencyError
from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.executors import Cluster, InProcess, Processes, attempt, executor_for
from tinygrad_bn.lab.executors.base import Waiting
from tinygrad_bn.lab.runfolder import RunFolder

pytest.importorskip("safetensors")

LONG = dataclasses.replace(TINY, epochs=12)


def nothing(argument: object) -> None:
    """Hear and say nothing."""


def train_alone(root: Path, configs: Sequence[RunConfig]) -> None:
    """What an undisturbed sweep comes to, in processes as all workers are: with one thread each."""
    Processes(2).run(root, configs, nothing, nothing)


# -- which executor ---------------------------------------------------------------------------------------


def test_words_choose_the_executor() -> None:
    assert executor_for(0) == InProcess()
    assert executor_for(3, tensorboard=False) == Processes(3)
    pytest.importorskip("distributed")
    assert executor_for(2, "local") == Cluster(None, 2)
    assert executor_for(None, "tcp://host:8786") == Cluster("tcp://host:8786", None)


@pytest.mark.parametrize(
    ("jobs", "cluster", "message"),
    [
        (-1, None, "jobs of at least 0"),
        (0, "local", "jobs of at least 1"),
        (2, "host:8786", "tcp://host:8786"),
        (2, "", "address of a scheduler"),
    ],
)
def test_other_words_are_refused(jobs: int, cluster: str | None, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        executor_for(jobs, cluster)


@pytest.mark.parametrize(
    ("package", "extra", "keywords"),
    [("distributed", "dask", {"cluster": "local"}), ("tensorboardX", "tensorboard", {"tensorboard": True})],
)
def test_a_missing_package_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str, keywords: dict[str, object]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"'{package}'.*tinygrad_bn\[{extra}\]"):
        executor_for(2, **keywords)  # type: ignore[arg-type]


# -- the line of waiting runs -----------------------------------------------------------------------------


def test_a_run_that_another_process_trains_comes_last(tmp_path: Path) -> None:
    first, second, third = seeds(TINY, 3)
    waiting = Waiting(tmp_path, [first, second, third])
    with RunFolder(tmp_path, first).locked():
        assert waiting.take() == second
        assert waiting.take() == third
        assert waiting.take() == first
    assert not waiting


def test_a_run_is_tried_three_times_in_all(tmp_path: Path) -> None:
    first, second = seeds(TINY, 2)
    waiting = Waiting(tmp_path, [first, second])
    for _ in range(2):
        assert waiting.take() == first
        assert waiting.try_again(first)
    assert waiting.take() == first
    assert not waiting.try_again(first)
    assert waiting.take() == second


# -- processes --------------------------------------------------------------------------------------------


def kill_when(root: Path, config: RunConfig, epochs: int) -> Callable[[Sequence[RunConfig]], None]:
    """Kill a run's process once, as soon as it has so many epochs behind it."""
    left = [1]

    def poll(running: Sequence[RunConfig]) -> None:
        if left[0] and config in running and len(RunFolder(root, config).metrics()) >= epochs:
            for process in multiprocessing.active_children():
                if process.name == config.label and process.pid is not None:
                    left[0] = 0
                    os.kill(process.pid, signal.SIGKILL)

    return poll


@pytest.mark.slow
def test_a_killed_process_is_replaced_and_the_run_goes_on(tmp_path: Path) -> None:
    notes: list[str] = []
    train_alone(tmp_path / "undisturbed", [LONG])
    Processes(1).run(tmp_path / "killed", [LONG], kill_when(tmp_path / "killed", LONG, 3), nothing, notes.append)
    assert notes == ["tanh swap seed 0: its process was ended by signal 9; starting it again"]
    assert_same(tmp_path / "killed", tmp_path / "undisturbed", [LONG])
    starts = [line["from_epoch"] for line in RunFolder(tmp_path / "killed", LONG).attempts()]
    assert len(starts) == 2
    assert starts[1] >= 3


def test_a_run_that_others_have_finished_is_not_trained(tmp_path: Path) -> None:
    train_alone(tmp_path, [TINY])
    ended: list[RunConfig] = []
    for executor in (InProcess(), Processes(1)):
        executor.run(tmp_path, [TINY], nothing, ended.append)
    assert ended == [TINY, TINY]
    assert len(RunFolder(tmp_path, TINY).attempts()) == 1


def test_event_files_hold_each_epoch_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    class Stopped(BaseException):
        pass

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        attempt(tmp_path, TINY, True, stop)
    assert attempt(tmp_path, TINY, True)
    (file,) = (RunFolder(tmp_path, TINY).path / "events").iterdir()
    content, steps = file.read_bytes(), []
    while content:  # length, its checksum, the event, its checksum
        length = int.from_bytes(content[:8], "little")
        record, check = content[12 : 12 + length], content[12 + length : 16 + length]
        assert masked_crc32c(record) == int.from_bytes(check, "little")
        event = Event.FromString(record)
        steps += [(value.tag, event.step) for value in event.summary.value]
        content = content[16 + length :]
    epochs = range(1, TINY.epochs + 1)
    names = ("train_loss", "test_loss", "test_accuracy", "learning_rate", "seconds")
    assert sorted(steps) == sorted((name, epoch) for name in names for epoch in epochs)


# -- whole commands ---------------------------------------------------------------------------------------

PROGRAM = """
import json, sys
from pathlib import Path
from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.executors import executor_for

if __name__ == "__main__":
    configs = [RunConfig.from_dict(fields) for fields in json.loads(sys.argv[4])]
    cluster = None if sys.argv[3] == "none" else sys.argv[3]
    executor_for(int(sys.argv[2]), cluster).run(Path(sys.argv[1]), configs, lambda runs: None, lambda run: None)
"""


def start_sweep(
    folder: Path, configs: Sequence[RunConfig], jobs: int, cluster: str = "none"
) -> subprocess.Popen[bytes]:
    """The same sweep as a program of its own, and a group of processes of its own."""
    program = folder.parent / "sweep.py"
    program.write_text(PROGRAM, encoding="utf-8")
    words = [str(folder), str(jobs), cluster, json.dumps([config.to_dict() for config in configs])]
    return subprocess.Popen([sys.executable, str(program), *words], start_new_session=True)


def wait_for_epochs(root: Path, configs: Sequence[RunConfig], epochs: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many epochs of these runs are done in all."""
    deadline = time.monotonic() + 120
    while sum(len(RunFolder(root, config).metrics()) for config in configs) < epochs:
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_sweep_killed_as_a_whole_and_started_again_loses_nothing(tmp_path: Path) -> None:
    configs = seeds(LONG, 3)
    train_alone(tmp_path / "undisturbed", configs)
    root = tmp_path / "killed"
    for epochs in (4, 20):
        process = start_sweep(root, configs, 2)
        wait_for_epochs(root, configs, epochs, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    train_alone(root, configs)
    assert_same(root, tmp_path / "undisturbed", configs)
    assert_no_epoch_was_lost(root, configs, disturbances=4)


@pytest.mark.slow
def test_two_sweeps_in_one_folder_train_nothing_twice(tmp_path: Path) -> None:
    configs = seeds(TINY, 4)
    train_alone(tmp_path / "alone", configs)
    both = [start_sweep(tmp_path / "shared", configs, 1) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert_same(tmp_path / "shared", tmp_path / "alone", configs)
    assert_no_epoch_was_lost(tmp_path / "shared", configs, disturbances=0)
