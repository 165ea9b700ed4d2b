"""Looking at the graph during a training."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.errors import DataError
from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.probes.graph import GraphProbe
from tinygrad_bn.lab.runfolder import RunFolder
from tinygrad_bn.lab.training import train, train_in_folder

TINY: dict[str, Any] = {"dataset": "synthetic", "width": 2, "epochs": 2, "batch_size": 100}


def test_a_look_is_a_frame_and_leaves_no_trace() -> None:
    model = nn.SmallCNN(width=2).eval()
    images = tg.tensor(np.random.default_rng(0).standard_normal((4, 1, 28, 28)).astype("float32"))
    before = {name: np.array(value) for name, value in model.state_dict().items()}
    probe = GraphProbe(model, images, tg.tensor(np.arange(4)))
    probe.look("start")
    probe.look("epoch 1")
    assert not model.training
    assert all(np.array_equal(value, np.array(model.state_dict()[name])) for name, value in before.items())
    lines = gzip.decompress(b"".join(frame.tobytes() for frame in probe.frames)).splitlines()
    first, second = map(json.loads, lines)
    assert (first["name"], second["name"]) == ("start", "epoch 1")
    assert first["nodes"] == second["nodes"]
    assert first["nodes"]["#cross_entropy"]["gradient"]["values"]["numbers"] == [1]
    norms = [key for key in first["nodes"] if key.endswith("#batch_norm")]
    assert all(len(first["nodes"][key]["value"]["channels"]["saturation"]) >= 2 for key in norms)
    assert len(norms) == 5


@pytest.mark.parametrize(("frames", "names"), [(0, []), (1, ["epoch 2"]), (6, ["start", "epoch 1", "epoch 2"])])
def test_a_training_is_looked_at_when_asked(tmp_path: Path, frames: int, names: list[str]) -> None:
    folder = RunFolder(tmp_path, RunConfig(**TINY, graph_frames=frames))
    train_in_folder(folder)
    assert [frame["name"] for frame in folder.graph()] == names


def test_looking_changes_nothing_in_the_training() -> None:
    with_it, without = (train(RunConfig(**TINY, graph_frames=frames)) for frames in (3, 0))
    seconds = {"seconds"}
    assert [{k: v for k, v in line.items() if k not in seconds} for line in with_it.metrics] == [
        {k: v for k, v in line.items() if k not in seconds} for line in without.metrics
    ]
    ours, theirs = with_it.model.state_dict(), without.model.state_dict()
    assert all(np.array_equal(np.array(ours[name]), np.array(theirs[name])) for name in ours)


@pytest.mark.parametrize("content", [b"damaged", b"\x1f\x8b\x08"])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes) -> None:
    folder = RunFolder(tmp_path, RunConfig())
    folder.path.mkdir(parents=True)
    (folder.path / "graph.jsonl.gz").write_bytes(content)
    with pytest.raises(DataError, match="looks at the graph"):
        folder.graph()
