"""A training of one's own, recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import functional as F
from tinygrad_bn import nn, optim
from tinygrad_bn.errors import ArgumentError
from tinygrad_bn.viz import Recording


def test_a_training_is_replayed(tmp_path: Path) -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    images = tg.tensor(np.random.default_rng(0).standard_normal((30, 4)).astype("float32"))
    labels = tg.tensor(np.arange(30) % 3)
    recording = Recording(model, images, target=labels)
    recording.look("start")
    losses = [F.cross_entropy(model(images), labels).item()]
    for epoch in range(3):
        for _ in range(10):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        recording.look(f"epoch {epoch + 1}")
    losses.append(F.cross_entropy(model(images), labels).item())
    path = recording.render(tmp_path / "deep" / "page", format="json")
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    [graph] = found["graphs"]
    assert [frame["name"] for frame in graph["frames"]] == ["start", "epoch 1", "epoch 2", "epoch 3"]
    seen = [frame["nodes"]["#cross_entropy"]["value"]["mean"] for frame in graph["frames"]]
    assert [seen[0], seen[-1]] == pytest.approx(losses, rel=1e-3)
    assert losses[1] < losses[0]
    assert recording.render(tmp_path / "page.html") == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_without_a_look_there_is_nothing(tmp_path: Path) -> None:
    recording = Recording(nn.Tanh(), (2, 3))
    with pytest.raises(ArgumentError, match="at least one look"):
        recording.render(tmp_path / "page")
    with pytest.raises(ArgumentError, match="html, json"):
        recording.render(tmp_path / "page", format="svg")
    assert list(tmp_path.iterdir()) == []
