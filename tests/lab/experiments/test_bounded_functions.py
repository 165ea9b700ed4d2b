"""The activation functions of the paper, against SciPy and formulas."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.document import Finding
from tinygrad_bn.lab.experiments.bounded_functions import FORMULAS, FUNCTIONS, measure_functions, present_functions

special = pytest.importorskip("scipy.special")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(measure_functions(**FUNCTIONS.parameters), allow_nan=False))
    return found


def test_values_are_those_of_the_formulas(numbers: dict[str, Any]) -> None:
    x = np.array(numbers["grid"])
    expected = {
        "tanh": np.tanh(x),
        "lecun_tanh": 1.7159 * np.tanh(2.0 * x / 3.0),
        "softsign": x / (1.0 + np.abs(x)),
        "penalized_tanh": np.where(x > 0.0, 1.0, 0.25) * np.tanh(x),
        "shifted_tanh": np.tanh(x + 1.0),
        "sigmoid": special.expit(x),
        "hardtanh": np.clip(x, -1.0, 1.0),
        "relu": np.maximum(x, 0.0),
    }
    assert set(expected) == set(numbers["functions"]) == set(FORMULAS)
    for name, values in expected.items():
        np.testing.assert_allclose(numbers["functions"][name]["values"], values, atol=1e-12)


def test_slopes_and_bounds(numbers: dict[str, Any]) -> None:
    for name, found in numbers["functions"].items():
        assert found["slope"] == pytest.approx(FORMULAS[name][1], abs=1e-6)
        for bound, far in zip(found["bounds"], found["far"], strict=True):
            assert bound is None or far == pytest.approx(bound, abs=1e-7)
    assert numbers["functions"]["penalized_tanh"]["slope_left"] == pytest.approx(0.25, abs=1e-6)
    assert numbers["functions"]["relu"]["bounds"] == [0.0, None]
    symmetric = [name for name, found in numbers["functions"].items() if found["symmetric"]]
    assert symmetric == ["tanh", "lecun_tanh", "softsign", "sigmoid", "hardtanh"]


def test_the_finding_notices_a_wrong_slope(numbers: dict[str, Any]) -> None:
    assert "agree with" in _finding(numbers)
    planted = copy.deepcopy(numbers)
    planted["functions"]["tanh"]["slope"] = 0.9
    assert "differ from" in _finding(planted)


def test_the_chart_shows_every_function(numbers: dict[str, Any]) -> None:
    (section,) = present_functions(numbers)
    drawing = section.figures[0].draw().svg
    assert all(name in drawing for name in FORMULAS)


def _finding(numbers: dict[str, Any]) -> str:
    (section,) = present_functions(numbers)
    (finding,) = [part.content for part in section.parts if isinstance(part, Finding)]
    return finding
