"""A run on an emulated GPU, with everything that can be looked at, against the same run on the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stand_in
from sweeps import TINY

import tinygrad_bn as tg
from tinygrad_bn import data, nn
from tinygrad_bn import functional as F
from tinygrad_bn.interop import load_model
from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.probes import landscape, top_hessian_eigenvalue
from tinygrad_bn.lab.runfolder import RunFolder
from tinygrad_bn.lab.training import Training, build_model, evaluate, train_in_folder

pytest.importorskip("safetensors")

HERE = dataclasses.replace(TINY, epochs=2, batch_size=100, step_probes=3, graph_frames=1)
THERE = dataclasses.replace(HERE, device="cuda")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunFolder, RunFolder]]:
    """The finished runs: on the CPU, and on the GPU, where it was stopped after an epoch and taken up again."""
    root = tmp_path_factory.mktemp("runs")
    here = _train(root / "here", HERE)
    with stand_in.emulated_gpu():
        with pytest.raises(KeyboardInterrupt):
            _train(root / "there", THERE, stop=True)
        yield here, _train(root / "there", THERE)


def _train(root: Path, config: RunConfig, stop: bool = False) -> RunFolder:
    def interrupt() -> None:
        raise KeyboardInterrupt

    folder = RunFolder(root, config)
    with folder.locked():
        train_in_folder(folder, after_epoch=interrupt if stop else lambda: None)
    return folder


def _assert_close(a: Any, b: Any, where: str = "") -> None:
    """Numbers of two runs, in whatever structure, agree up to the rounding that a few steps pile up."""
    if isinstance(a, Mapping):
        assert set(a) == set(b), where
        for name in set(a) - {"seconds"}:
            _assert_close(a[name], b[name], f"{where}/{name}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            _assert_close(x, y, f"{where}/{number}")
    elif isinstance(a, np.ndarray) and a.dtype.kind != "f":
        assert a.dtype == b.dtype, where
        if "counts" in where:  # of histograms: a value at the edge of a bin may fall on its other side
            assert abs(a - b).sum() <= 0.001 * abs(a).sum() + 2, where
        else:
            np.testing.assert_array_equal(a, b, where)
    elif isinstance(a, int) and "counts" in where:
        assert abs(a - b) <= 0.001 * a + 2, where
    elif isinstance(a, str | bool | int | None):
        assert a == b, where
    else:
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5, err_msg=where)


def test_metrics_and_result(folders: tuple[RunFolder, RunFolder]) -> None:
    here, there = folders
    _assert_close(here.metrics(), there.metrics())
    assert len(there.metrics()) == 2
    _assert_close(here.result(), there.result())


def test_what_the_probes_saw(folders: tuple[RunFolder, RunFolder]) -> None:
    here, there = folders
    for what in ("probes", "steps"):
        seen = getattr(here, what)()
        assert seen
        _assert_close(seen, getattr(there, what)(), what)


def test_the_loss_landscape(emulated_gpu: object) -> None:
    found = []
    for where in ("cpu", "cuda"):
        tg.manual_seed(0)
        model = nn.Sequential(nn.LinearBlock(5, 4, order="swap", activation="tanh"), nn.Linear(4, 3)).to(where)
        images, labels = tg.randn(20, 5, device=where), tg.tensor(np.arange(20) % 3, device=where)
        around = landscape(model, F.cross_entropy, images, labels, learning_rate=0.5)
        curvature = top_hessian_eigenvalue(model, F.cross_entropy, images, labels, largest="value")
        assert curvature.converged
        found.append({**around.to_dict(), "value": curvature.value})
    _assert_close(*found)


def test_the_recorded_graph(folders: tuple[RunFolder, RunFolder]) -> None:
    ours, theirs = (folder.graph() for folder in folders)
    assert ours
    _assert_close(ours, theirs, "graph")


def test_the_checkpoint_fits_the_cpu(folders: tuple[RunFolder, RunFolder]) -> None:
    here, there = folders
    test_set = data.load(HERE.dataset, "test")
    found = []
    for folder in (here, there):
        model = build_model(HERE, data.load(HERE.dataset, "train"))
        load_model(model, folder.path / "checkpoint.safetensors")
        loader = data.DataLoader(test_set, 100, transform=data.Normalize(test_set.mean, test_set.std))
        found.append(evaluate(model, loader))
    _assert_close(*found)


def test_where_it_was_trained_is_in_the_folder(folders: tuple[RunFolder, RunFolder]) -> None:
    there = folders[1]
    assert there.config.device == "cuda"
    environment = there.environment()
    assert environment["device"] == "cuda:0"
    assert environment["gpu"] == "emulated GPU"
    assert environment["driver_cuda"] == "13.0"
    assert environment["cuda"] == "13.0"
    assert set(environment) >= {"cupy", "cudnn", "compute_capability"}
    assert [attempt["from_epoch"] for attempt in there.attempts()] == [0, 1]
    assert "gpu" not in folders[0].environment()


def test_an_evaluation_reads_the_gpu_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in.emulated_gpu() as cupy:
        training = Training(THERE)
        reads = 0
        read = cupy.ndarray.get

        def get(array: Any, *arguments: Any, **keywords: Any) -> Any:
            nonlocal reads
            reads += 1
            return read(array, *arguments, **keywords)

        monkeypatch.setattr(cupy.ndarray, "get", get)
        loss, accuracy = evaluate(training.model, training._evaluation_loader)
        assert reads == 2
    expected = Training(HERE)
    _assert_close((loss, accuracy), evaluate(expected.model, expected._evaluation_loader))
