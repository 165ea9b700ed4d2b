"""Where BatchNorm's output lies: against SciPy's normal distribution, and in a small network."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.document import Finding
from tinygrad_bn.lab.experiments.bn_range import AFTER, BEFORE, bn_range, measure, normal_shares, present, shares

stats = pytest.importorskip("scipy.stats")
pytest.importorskip("matplotlib")

TINY: dict[str, Any] = {
    "sample": 20_000,
    "offset": 5.0,
    "scale": 2.0,
    "training": {"model": "small_cnn", "width": 2, "dataset": "digits", "epochs": 1},
}


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return measure(**TINY)


def findings(numbers: dict[str, Any]) -> list[str]:
    return [part.content for section in present(numbers) for part in section.parts if isinstance(part, Finding)]


def test_derived_shares_are_scipys() -> None:
    derived = normal_shares()
    assert derived["below"] == pytest.approx(stats.norm.cdf(0))
    assert derived["within"] == pytest.approx(stats.norm.cdf(1) - stats.norm.cdf(0))
    assert derived["above"] == pytest.approx(stats.norm.sf(1))
    assert derived["within"] == pytest.approx(0.3413, abs=5e-5)


def test_bounds_belong_to_the_middle() -> None:
    assert shares(np.array([-1.0, 0.0, 1.0, 2.0])) == {
        "below": 0.25,
        "within": 0.5,
        "above": 0.25,
        "removed_square": pytest.approx(1 / 6),
    }


def test_normal_inputs_have_the_derived_shares_whatever_their_mean(numbers: dict[str, Any]) -> None:
    for key, value in numbers["derived"].items():
        assert numbers["normal"][key] == pytest.approx(value, abs=0.02)
    assert numbers["extremes"][0] < -3
    assert numbers["extremes"][1] > 3


def test_every_batchnorm_is_seen_before_and_after_training(numbers: dict[str, Any]) -> None:
    names = ["features.0", "features.1", "features.3", "features.4", "classifier.1"]
    for when in (BEFORE, AFTER):
        assert [layer["name"] for layer in numbers["layers"] if layer["when"] == when] == names
    for layer in numbers["layers"]:
        untouched = set(layer["gamma"]) == {1.0} and set(layer["beta"]) == {0.0}
        assert untouched == (layer["when"] == BEFORE)
        assert sum(layer["histogram"]) > 0.95


def test_a_few_percent_below_zero_would_be_called_little(numbers: dict[str, Any]) -> None:
    assert findings(numbers)[0].startswith("No: ")
    planted = copy.deepcopy(numbers)
    planted["normal"] |= {"below": 0.0, "within": 1.0, "above": 0.0}
    for layer in planted["layers"]:
        layer["below"] = 0.05
    assert findings(planted)[0].startswith("Nearly: ")
    assert "ReLU does little" in findings(planted)[1]
    assert "ReLU does little" not in findings(numbers)[1]


def test_numbers_repeat_and_the_page_draws(numbers: dict[str, Any]) -> None:
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert measure(**TINY) == numbers
    for section in present(numbers):
        for figure in section.figures:
            assert "<svg" in figure.draw().svg
    assert set(bn_range("small").parameters) == set(bn_range("paper").parameters) == set(TINY)
