"""Means and intervals over seeds, held against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.seed_frames import with_seeds


def frame(name: str, saturation: float | None, gradient: float | None) -> dict[str, Any]:
    value = {"mean": 0.0, "variance": 1.0, "skewness": None, "saturation": saturation, "zeros": 0.0}
    return {"name": name, "nodes": {"a#tanh": {"value": value, "gradient": gradient and {"norm": gradient}}}}


def test_intervals_are_students() -> None:
    stats = pytest.importorskip("scipy.stats")
    saturations = [0.2, 0.35, 0.5, 0.31]
    [merged] = with_seeds([[frame("start", s, 10 * s)] for s in saturations])
    seeds = merged["nodes"]["a#tanh"]["seeds"]
    low, high = stats.t.interval(0.95, 3, np.mean(saturations), stats.sem(saturations))
    assert seeds["saturation"] == pytest.approx([np.mean(saturations), low, high], rel=1e-3)
    assert seeds["gradient"] == pytest.approx([10 * np.mean(saturations), 10 * low, 10 * high], rel=1e-3)
    assert seeds["zeros"] == [0, 0, 0]
    assert "skewness" not in seeds


def test_what_is_missing_is_left_out() -> None:
    first = [frame("start", 0.1, None), frame("epoch 1", 0.2, 1.0)]
    second = [frame("start", None, None)]
    start, end = with_seeds([first, second])
    assert set(start["nodes"]["a#tanh"]["seeds"]) == {"mean", "variance", "zeros"}
    assert end["nodes"]["a#tanh"]["seeds"] == {}
    assert start["nodes"]["a#tanh"]["value"]["saturation"] == 0.1


def test_one_training_has_no_intervals() -> None:
    assert "seeds" not in with_seeds([[frame("start", 0.1, None)]])[0]["nodes"]["a#tanh"]
