"""Runs on several GPUs: each sees one, the ones that are free first."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import stand_in
from sweeps import TINY, seeds

from tinygrad_bn.backend import device, get_device
from tinygrad_bn.errors import DeviceError
from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.executors import Cluster, InProcess, Processes, executor_for
from tinygrad_bn.lab.executors.gpus import gpus_for, inherited, least_used, visible

pytest.importorskip("safetensors")

SHORT = dataclasses.replace(TINY, epochs=1)


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_machines_gpus_or_those_that_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in.emulated_gpu(count=3):
        assert gpus_for("cuda") == ("0", "1", "2")
        for other in ("cpu", "cuda:1"):
            assert gpus_for(other) == ()
    for named, count, expected in [
        ("4,2", 2, ("4", "2")),
        ("GPU-8a, GPU-9b", 2, ("GPU-8a", "GPU-9b")),
        ("1,-1,2", 1, ("1",)),  # CUDA stops at what is none
    ]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        with stand_in.emulated_gpu(count=count):
            assert gpus_for("cuda") == expected


def test_without_a_gpu_the_reason_is_told_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in.emulated_gpu() as cupy:
        monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 0)
        monkeypatch.setattr(device, "_devices", {"cpu": get_device("cpu")})
        with pytest.raises(DeviceError, match="expected an NVIDIA GPU"):
            executor_for(device="cuda")


def test_one_run_per_gpu_unless_jobs_says_otherwise() -> None:
    with stand_in.emulated_gpu(count=2):
        assert executor_for(device="cuda") == Processes(2, gpus=("0", "1"))
        assert executor_for(5, device="cuda") == Processes(5, gpus=("0", "1"))
        assert executor_for(0, device="cuda") == InProcess()
        assert executor_for(device="cuda:1") == Processes(1)  # all on the one that is named
        assert executor_for(device="cpu").gpus == ()  # type: ignore[attr-defined]
        pytest.importorskip("distributed")
        assert executor_for(cluster="local", device="cuda") == Cluster(None, 2, gpus=("0", "1"))
        assert executor_for(cluster="tcp://host:8786", device="cuda") == Cluster("tcp://host:8786")


def test_the_one_with_the_fewest_runs() -> None:
    gpus, chosen = ("0", "1", "2"), []
    for _ in range(7):
        chosen.append(least_used(gpus, chosen))
    assert chosen == ["0", "1", "2", "0", "1", "2", "0"]
    chosen.remove("1")
    assert least_used(gpus, chosen) == "1"
    assert least_used((), []) is None
    assert visible(None) == {}


def test_the_environment_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with inherited({"OMP_NUM_THREADS": "1", **visible("3")}):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["CUDA_VISIBLE_DEVICES"]) == ("1", "3")
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.slow
def test_each_process_sees_the_gpu_that_is_free(tmp_path: Path) -> None:
    """Read from the processes' environments; what they train on is the CPU."""
    configs, seen = seeds(SHORT, 3), {}

    def look(running: Sequence[RunConfig]) -> None:
        now = {}
        for process in multiprocessing.active_children():
            try:
                lines = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            variables = dict(line.split(b"=", 1) for line in lines if b"=" in line)
            now[process.name] = variables.get(b"CUDA_VISIBLE_DEVICES")
        seen.update(now)
        at_once = [now[config.label] for config in running if config.label in now]
        assert len(set(at_once)) == len(at_once)

    Processes(2, gpus=("5", "7")).run(tmp_path, configs, look, lambda run: None)
    assert set(seen.values()) == {b"5", b"7"}


@pytest.mark.slow
def test_workers_of_a_cluster_here_share_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    from tinygrad_bn.lab.executors import cluster

    seen: list[str | None] = []
    real = cluster._Sweep.goes_on

    def goes_on(sweep: cluster._Sweep) -> bool:
        going_on = real(sweep)
        seen[:] = sweep.client.run(os.getenv, "CUDA_VISIBLE_DEVICES").values()
        return going_on

    monkeypatch.setattr(cluster._Sweep, "goes_on", goes_on)
    Cluster(None, 2, gpus=("5", "7")).run(tmp_path, seeds(SHORT, 2), lambda runs: None, lambda run: None)
    assert sorted(map(str, seen)) == ["5", "7"]
