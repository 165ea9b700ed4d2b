from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import contestants, environments, resident, workloads
from benchmarks.arrays import load_arrays, make_arrays, save_arrays
from benchmarks.environments import PeerMissingError
from benchmarks.protocol import Worker, WorkerError


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Worker]:
    worker = contestants.start(contestants.OURS, 1, tmp_path / "log", print)
    yield worker
    worker.close()


def test_our_worker_answers(ours: Worker, tmp_path: Path) -> None:
    about = ours.ask({"do": "about"}, 60)
    assert about["threads"] == 1
    assert "tinygrad_bn" in about["versions"]

    tiny = {"workload": "tiny", "arrays": str(tmp_path / "tiny.npz")}
    save_arrays(tmp_path / "tiny.npz", make_arrays(workloads.TINY))
    losses = ours.ask({"do": "prepare", **tiny}, 60)["results"]
    assert len(losses) == 10
    assert losses[-1] < losses[0]
    seconds = ours.ask({"do": "time", "samples": 3, "inner": 2}, 60)["seconds"]
    assert len(seconds) == 3
    assert min(seconds) > 0
    assert ours.ask({"do": "memory", **tiny, "tiny": tiny, "steps": 2}, 60)["bytes"] < 1e9

    with pytest.raises(WorkerError, match="KeyError: 'nonsense'"):
        ours.ask({"do": "prepare", **tiny, "workload": "nonsense"}, 60)
    assert ours.alive  # an error is an answer, not an end

    operation = workloads.Operation("relu/both", "", "relu", {"input": (2, 3)}, (2, 3))
    save_arrays(tmp_path / "relu.npz", make_arrays(operation))
    saved = tmp_path / "outputs.npz"
    request = {"do": "outputs", "workload": "relu/both", "arrays": str(tmp_path / "relu.npz"), "dtype": "float64"}
    ours.ask({**request, "save": str(saved)}, 60)
    outputs = load_arrays(saved)
    assert outputs["output"].dtype == "float64"
    assert (outputs["output"] >= 0).all()
    assert outputs.keys() == {"output", "input"}


def scripted(script: str, folder: Path) -> Worker:
    return Worker([sys.executable, "-c", script], dict(os.environ), folder, folder / "log")


def test_a_worker_that_dies_says_its_last_words(tmp_path: Path) -> None:
    worker = scripted("import sys; sys.exit('out of memory')", tmp_path)
    with pytest.raises(WorkerError, match="the worker ended: out of memory"):
        worker.ask({"do": "about"}, 60)
    assert not worker.alive


def test_a_worker_that_hangs_is_ended(tmp_path: Path) -> None:
    worker = scripted("import sys; sys.stdin.readline(); sys.stdin.readline()", tmp_path)
    with pytest.raises(WorkerError, match="no answer to 'about' within 0 s"):
        worker.ask({"do": "about"}, 0.2)
    assert not worker.alive


def test_what_a_framework_prints_does_not_disturb_the_conversation(tmp_path: Path) -> None:
    script = """
from benchmarks import serving
class Framework:
    def about(self):
        print("hello from the framework")
        return {"versions": {}}
serving.serve(Framework())
"""
    worker = Worker([sys.executable, "-c", script], dict(os.environ), environments.ROOT, tmp_path / "log")
    assert worker.ask({"do": "about"}, 60)["versions"] == {}
    worker.close()
    assert worker.last_words() == "hello from the framework"


def test_the_peak_of_memory_counts_what_was_freed() -> None:
    before = resident.current()
    resident.reset_peak()
    block = bytearray(os.urandom(1)) * 50_000_000
    del block
    assert resident.peak() - before > 40_000_000
    if resident._STATUS.exists():
        resident.reset_peak()
        assert resident.peak() - before < 40_000_000


def test_a_peer_that_cannot_be_installed_is_missing_with_the_reason() -> None:
    script = "import sys; print('Collecting x'); sys.exit('ERROR: No matching distribution found for x')"
    with pytest.raises(PeerMissingError, match="x cannot be installed: ERROR: No matching distribution found for x"):
        environments._run("x", [sys.executable, "-c", script])


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(environments, "FOLDER", environments.ROOT / ".venv-bench")
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "FOLDER", tmp_path / ".venv-bench")
    monkeypatch.setattr(environments, "INSTALLATIONS", {"x": (("x==1",),)})

    def run(peer: str, command: list[str]) -> None:
        commands.append(command)
        (tmp_path / ".venv-bench" / peer).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(environments, "_run", run)
    told: list[str] = []
    for _ in range(2):
        assert environments.install("x", told.append) == tmp_path / ".venv-bench" / "x" / "bin" / "python"
    assert [command[-1] for command in commands] == [str(tmp_path / ".venv-bench" / "x"), "x==1"]
    assert told == ["installing x into .venv-bench/x (once; needs the network)"]
