"""A Dask cluster of separate processes: the same numbers, whichever workers die, and clear words when it cannot be."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sweeps import TINY, assert_no_epoch_was_lost, assert_same, seeds

from tinygrad_bn.errors import ArgumentError, DataError, StateError
from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.executors import Cluster, InProcess, Processes, cluster
from tinygrad_bn.lab.runfolder import RunFolder

distributed = pytest.importorskip("distributed")
pytest.importorskip("safetensors")
pytestmark = pytest.mark.slow

LONG = dataclasses.replace(TINY, epochs=12)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_BN_THREADS", "1")
    monkeypatch.setattr("tinygrad_bn.backend.threads._number", 1)


def nothing(argument: object) -> None:
    """Hear and say nothing."""


@contextmanager
def scheduler_and_workers(number: int, *options: str) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers as somebody starts them by hand: the address, and the workers' processes."""
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    with subprocess.Popen(
        [*dask, "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"],
        stderr=subprocess.PIPE,
        text=True,
    ) as scheduler:
        assert scheduler.stderr is not None
        address = next(line.split()[-1] for line in scheduler.stderr if "Scheduler at:" in line)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--memory-limit", "0"]
        workers = [
            subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL, start_new_session=True)
            for _ in range(number)
        ]
        try:
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(number, timeout=60)
            yield address, workers
        finally:
            for process in (*workers, scheduler):
                process.kill()
                process.wait()


def test_the_numbers_are_the_same_whoever_trains(tmp_path: Path) -> None:
    configs = [
        *seeds(TINY, 2),
        dataclasses.replace(TINY, order="convention", optimizer="adam", step_probes=5, landscape=2),
    ]
    notes: list[str] = []
    ended: list[RunConfig] = []
    InProcess().run(tmp_path / "here", configs, nothing, nothing)
    Processes(2).run(tmp_path / "processes", configs, nothing, nothing)
    Cluster(None, 2).run(tmp_path / "cluster", configs, nothing, ended.append, notes.append)
    assert set(ended) == set(configs)
    assert_same(tmp_path / "processes", tmp_path / "here", configs)
    assert_same(tmp_path / "cluster", tmp_path / "here", configs)
    (welcome,) = notes
    assert "2 workers" in welcome
    assert "http://127.0.0.1:" in welcome


def test_the_dashboard_answers_where_it_is_said_to_be(tmp_path: Path) -> None:
    pytest.importorskip("bokeh")
    seen: list[int] = []

    def look(note: str) -> None:
        with urllib.request.urlopen(note.split()[-1]) as answer:
            seen.append(answer.status)

    Cluster(None, 1).run(tmp_path, [TINY], nothing, nothing, look)
    assert seen == [200]


def test_workers_killed_in_the_middle_cost_no_whole_epoch(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    configs = seeds(LONG, 4)
    killed: list[int] = []
    Processes(2).run(tmp_path / "undisturbed", configs, nothing, nothing)
    root = tmp_path / "killed"

    def kill(running: Sequence[RunConfig]) -> None:
        done = sum(len(RunFolder(root, config).metrics()) for config in configs)
        if len(killed) < 3 and done >= 5 * (len(killed) + 1):
            workers = [
                process
                for process in psutil.Process().children(recursive=True)
                if "spawn_main" in " ".join(process.cmdline())
            ]
            busy = max(workers, key=lambda process: process.cpu_times().user)
            killed.append(busy.pid)
            busy.kill()

    Cluster(None, 2).run(root, configs, kill, nothing)
    assert len(killed) == 3
    assert_same(root, tmp_path / "undisturbed", configs)
    assert_no_epoch_was_lost(root, configs, disturbances=3)


def test_a_cluster_of_somebody_else_is_used_one_run_per_worker(tmp_path: Path) -> None:
    configs = seeds(TINY, 5)
    most = [0]

    def count(running: Sequence[RunConfig]) -> None:
        assert len(running) <= 2
        being_trained = sum(RunFolder(tmp_path / "cluster", config).is_being_trained for config in configs)
        most[0] = max(most[0], being_trained)

    Processes(2).run(tmp_path / "processes", configs, nothing, nothing)
    with scheduler_and_workers(2, "--nthreads", "3") as (address, workers):
        Cluster(address).run(tmp_path / "cluster", configs, count, nothing)
        assert all(worker.poll() is None for worker in workers)
    assert most[0] == 2
    assert_same(tmp_path / "cluster", tmp_path / "processes", configs)


def test_without_a_worker_it_is_said_and_a_new_one_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "REMIND_SECONDS", 0.2)
    notes: list[str] = []
    Processes(1).run(tmp_path / "undisturbed", [LONG], nothing, nothing)
    with scheduler_and_workers(1, "--nthreads", "1") as (address, workers):

        def kill_then_replace(running: Sequence[RunConfig]) -> None:
            if workers[0].poll() is None and len(RunFolder(tmp_path / "killed", LONG).metrics()) >= 3:
                workers[0].kill()
                workers[0].wait()
            if len(workers) == 1 and any("no worker" in note for note in notes):
                command = [
                    sys.executable,
                    "-m",
                    "distributed.cli.dask_worker",
                    address,
                    "--nthreads",
                    "1",
                    "--no-nanny",
                ]
                workers.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True))

        Cluster(address).run(tmp_path / "killed", [LONG], kill_then_replace, nothing, notes.append)
    assert any("is gone; the run goes on elsewhere" in note for note in notes)
    assert_same(tmp_path / "killed", tmp_path / "undisturbed", [LONG])
    assert_no_epoch_was_lost(tmp_path / "killed", [LONG], disturbances=1)


@pytest.fixture
def interrupts_are_heard() -> Iterator[None]:
    """Ctrl-C raises here, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts_are_heard")
def test_an_interrupt_stops_the_workers_of_somebody_else_at_their_next_epoch(tmp_path: Path) -> None:
    endless = dataclasses.replace(LONG, epochs=5000)
    folder = RunFolder(tmp_path, endless)

    def interrupt(running: Sequence[RunConfig]) -> None:
        if len(folder.metrics()) >= 2:
            os.kill(os.getpid(), signal.SIGINT)

    with scheduler_and_workers(1, "--nthreads", "1") as (address, workers):
        with pytest.raises(KeyboardInterrupt):
            Cluster(address).run(tmp_path, [endless], interrupt, nothing)
        deadline = time.monotonic() + 30
        while folder.is_being_trained:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert workers[0].poll() is None
        assert folder.error() is None
        assert folder.state() is not None
        Cluster(address).run(tmp_path, [TINY], nothing, nothing)  # the worker is free again
    assert RunFolder(tmp_path, TINY).is_done


@pytest.mark.usefixtures("interrupts_are_heard")
def test_an_interrupt_ends_a_cluster_of_our_own(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    endless = dataclasses.replace(LONG, epochs=5000)

    def interrupt(running: Sequence[RunConfig]) -> None:
        if len(RunFolder(tmp_path, endless).metrics()) >= 2:
            os.kill(os.getpid(), signal.SIGINT)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Cluster(None, 2).run(tmp_path, [endless], interrupt, nothing)
    assert time.monotonic() - started < 60
    left = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
    assert [words for words in left if "spawn_main" in words] == []
    assert not RunFolder(tmp_path, endless).is_being_trained


def test_failures_are_recorded_with_their_cause_and_stop_nobody(tmp_path: Path) -> None:
    bad = dataclasses.replace(TINY, batch_size=801)  # there are 800 images
    ended: list[RunConfig] = []
    Cluster(None, 1).run(tmp_path, [bad, TINY], nothing, ended.append)
    assert ended == [bad, TINY]
    error = RunFolder(tmp_path, bad).error()
    assert error is not None
    assert "801" in error["message"]
    assert "Traceback" in error["traceback"]
    assert RunFolder(tmp_path, TINY).is_done


def test_a_worker_that_is_always_killed_is_recorded(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")

    def kill(running: Sequence[RunConfig]) -> None:
        for process in psutil.Process().children(recursive=True):
            if "spawn_main" in " ".join(process.cmdline()) and RunFolder(tmp_path, LONG).is_being_trained:
                process.kill()

    Cluster(None, 1).run(tmp_path, [LONG], kill, nothing)
    error = RunFolder(tmp_path, LONG).error()
    assert error is not None
    assert error["type"] == "WorkerLost"
    assert "3 times" in error["message"]


def test_nobody_at_the_address_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(ArgumentError, match=r"a Dask scheduler at tcp://127\.0\.0\.1:1,.*dask scheduler"):
        Cluster("tcp://127.0.0.1:1").run(tmp_path, [TINY], nothing, nothing)


def test_a_worker_of_another_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "package_version", lambda name: "9.9.9")
    with pytest.raises(StateError, match=r"tinygrad_bn 9\.9\.9 on worker tcp://.*same version everywhere"):
        Cluster(None, 1).run(tmp_path, [TINY], nothing, nothing)
    assert not RunFolder(tmp_path, TINY).path.exists()


def test_a_worker_that_does_not_see_the_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def elsewhere(root: Path) -> Iterator[str]:
        yield ".seen-by-nobody"

    monkeypatch.setattr(cluster, "_token", elsewhere)
    with pytest.raises(DataError, match=r"worker tcp://\S+ to see the folder .*--out"):
        Cluster(None, 1).run(tmp_path, [TINY], nothing, nothing)


def test_nothing_to_do_needs_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(cluster, "_local_cluster", refuse)
    Cluster(None, 1).run(tmp_path, [], nothing, nothing)
