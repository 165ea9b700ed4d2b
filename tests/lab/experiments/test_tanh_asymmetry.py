"""Tanh of a normal input, and BatchNorm after it: against SciPy, and against what the paper's argument needs."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.document import Finding
from tinygrad_bn.lab.experiments.tanh_asymmetry import (
    ASYMMETRY,
    RELOCATION,
    derived_asymmetry,
    measure_asymmetry,
    measure_relocation,
    present_asymmetry,
    present_relocation,
)

stats = pytest.importorskip("scipy.stats")
pytest.importorskip("matplotlib")


@pytest.mark.parametrize(
    ("mean", "deviation", "skewness", "magnitude"),
    [(0.0, 1.0, 0.0, 0.556), (1.0, 1.0, -1.283, 0.683), (2.0, 2.0, -1.661, 0.833), (3.0, 3.0, -1.768, 0.888)],
)
def test_derived_values(mean: float, deviation: float, skewness: float, magnitude: float) -> None:
    derived = derived_asymmetry(mean, deviation)
    assert derived["skewness"] == pytest.approx(skewness, abs=5e-4)
    assert derived["magnitude"] == pytest.approx(magnitude, abs=5e-4)
    mirrored = derived_asymmetry(-mean, deviation)
    assert mirrored["skewness"] == pytest.approx(-skewness, abs=5e-4)


@pytest.fixture(scope="module")
def asymmetry() -> dict[str, Any]:
    parameters = {**ASYMMETRY.parameters, "values": 100_000, "deviations": [0.5, 1.0, 2.0]}
    numbers: dict[str, Any] = json.loads(json.dumps(measure_asymmetry(**parameters), allow_nan=False))
    return numbers


def test_the_sample_agrees_with_scipy_and_the_integral(asymmetry: dict[str, Any]) -> None:
    z = np.random.default_rng(0).normal(size=100_000)
    for pair in asymmetry["pairs"]:
        output = np.tanh(pair["mean"] + pair["deviation"] * z)
        assert pair["seen"]["skewness"] == pytest.approx(float(stats.skew(output)), abs=1e-9)
        assert pair["seen"]["magnitude"] == pytest.approx(float(np.abs(output).mean()), abs=1e-9)
        for key in ("skewness", "magnitude"):
            assert pair["seen"][key] == pytest.approx(pair["derived"][key], abs=0.03)


def test_the_map_is_the_integral(asymmetry: dict[str, Any]) -> None:
    for deviation, row in zip(asymmetry["deviations"], asymmetry["map"], strict=True):
        for mean, skewness in list(zip(asymmetry["means"], row, strict=True))[::10]:
            assert skewness == pytest.approx(derived_asymmetry(mean, deviation)["skewness"], abs=1e-6)


def test_the_finding_names_the_most_one_sided_place(asymmetry: dict[str, Any]) -> None:
    (before,) = _findings(present_asymmetry(asymmetry))
    planted = copy.deepcopy(asymmetry)
    planted["map"][2][5] = -77.0
    (after,) = _findings(present_asymmetry(planted))
    assert "mean 0.5 and deviation 2: 77.00" in after
    assert "77.00" not in before


@pytest.fixture(scope="module")
def relocation() -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads(json.dumps(measure_relocation(**RELOCATION.parameters), allow_nan=False))
    return numbers


def test_batch_norm_standardises_the_two_ends_of_tanh(relocation: dict[str, Any]) -> None:
    z = np.random.default_rng(0).normal(size=relocation["values"])
    for case in relocation["cases"]:
        output = np.tanh(case["mean"] + case["deviation"] * z)
        ends = (np.array([-1.0, 1.0]) - output.mean()) / np.sqrt(output.var() + 1e-5)
        np.testing.assert_allclose(case["ends"], ends, rtol=1e-6)
        normalised = (output - output.mean()) / np.sqrt(output.var() + 1e-5)
        sparsity = 1.0 - np.abs(normalised).mean() / np.abs(normalised).max()
        assert case["sparsity_after"] == pytest.approx(sparsity, rel=1e-6)
        assert np.interp(0.5, relocation["grid"], case["curve"]) == pytest.approx(
            (np.tanh(0.5) - output.mean()) / np.sqrt(output.var() + 1e-5), abs=1e-3
        )


def test_sparsity_rises_for_one_sided_inputs_alone(relocation: dict[str, Any]) -> None:
    for case in relocation["cases"]:
        gain = case["sparsity_after"] - case["sparsity_before"]
        assert gain > 0.4 if case["mean"] > 0.0 else abs(gain) < 0.01


def test_the_finding_follows_the_numbers(relocation: dict[str, Any]) -> None:
    (finding,) = _findings(present_relocation(relocation))
    assert "sparsity rises, 0.11 before BatchNorm and 0.71 after it" in finding
    assert "sparsity stays where it is" in finding
    planted = copy.deepcopy(relocation)
    for case in planted["cases"]:
        case["sparsity_after"] = 0.01
    (finding,) = _findings(present_relocation(planted))
    assert "rises" not in finding
    assert "sparsity falls, 0.11 before" in finding


def test_charts_are_drawn(asymmetry: dict[str, Any], relocation: dict[str, Any]) -> None:
    for section in (*present_asymmetry(asymmetry), *present_relocation(relocation)):
        for figure in section.figures:
            assert figure.draw().svg.startswith("<?xml")


def _findings(sections: Any) -> list[str]:
    return [part.content for section in sections for part in section.parts if isinstance(part, Finding)]
