"""What follows from the order: against derivations, SciPy, and the facts that textbooks state."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.document import Finding
from tinygrad_bn.lab.experiments.structural_facts import (
    PARAMETERS,
    is_invariant,
    measure,
    present,
    structural_facts,
    tanh_moments,
)

integrate = pytest.importorskip("scipy.integrate")
stats = pytest.importorskip("scipy.stats")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return measure(**{**PARAMETERS, "sample": 100_000})


def findings(numbers: dict[str, Any]) -> str:
    return "\n".join(p.content for section in present(numbers) for p in section.parts if isinstance(p, Finding))


def test_convention_is_scale_invariant_for_all_and_swap_only_for_homogeneous_activations(
    numbers: dict[str, Any],
) -> None:
    invariant = {(entry["order"], entry["activation"]) for entry in numbers["scaling"] if is_invariant(entry)}
    activations = PARAMETERS["activations"]
    assert invariant == {
        *(("convention", activation) for activation in activations),
        *(("preact", activation) for activation in activations),
        ("swap", "relu"),
        ("swap", "leaky_relu"),
    }
    assert all(entry["expected"] == is_invariant(entry) for entry in numbers["scaling"])


def test_a_bias_before_batchnorm_has_no_gradient(numbers: dict[str, Any]) -> None:
    for entry in numbers["biases"]:
        if entry["order"] in ("convention", "preact"):
            assert entry["ratio"] < 1e-12
        else:
            assert entry["ratio"] > 1e-3


def test_pooling_commutes_with_what_is_monotone(numbers: dict[str, Any]) -> None:
    differences = {entry["name"]: entry["difference"] for entry in numbers["pooling"]}
    changed = {name for name, difference in differences.items() if difference > 0}
    assert changed == {"gelu", "BatchNorm, gamma -1.5"}


@pytest.mark.parametrize(
    ("mean", "deviation", "skewness", "saturation"),
    [(0, 1, 0.0, 0.556), (1, 1, -1.283, 0.683), (2, 2, -1.661, 0.833), (3, 3, -1.768, 0.888)],
)
def test_tanh_moments_are_scipys(mean: float, deviation: float, skewness: float, saturation: float) -> None:
    law = stats.norm(mean, deviation)

    def expectation(function: Any) -> float:
        low, high = mean - 10 * deviation, mean + 10 * deviation
        return float(integrate.quad(lambda x: function(np.tanh(x)) * law.pdf(x), low, high, points=[0.0])[0])

    centre = expectation(lambda t: t)
    variance = expectation(lambda t: (t - centre) ** 2)
    derived = tanh_moments(mean, deviation)
    assert derived["skewness"] == pytest.approx(expectation(lambda t: (t - centre) ** 3) / variance**1.5, abs=1e-6)
    assert derived["saturation"] == pytest.approx(expectation(abs), abs=1e-6)
    assert derived["skewness"] == pytest.approx(skewness, abs=5e-4)
    assert derived["saturation"] == pytest.approx(saturation, abs=5e-4)


def test_folding_is_exact_except_at_borders_padded_with_zeros(numbers: dict[str, Any]) -> None:
    backwards, without, zeros, own = numbers["folding"]
    for exact in (backwards, without, own):
        assert exact["everywhere"] < 1e-12
    assert zeros["inside"] < 1e-12
    assert zeros["everywhere"] > 0.01


def test_weights_before_batchnorm_only_grow(numbers: dict[str, Any]) -> None:
    slow, fast = (entry["norms"] for entry in numbers["growth"] if entry["order"] == "convention")
    assert (np.diff(slow) >= 0).all()
    assert (np.diff(fast) >= 0).all()
    assert fast[-1] > slow[-1] > slow[0]


def test_findings_follow_the_numbers(numbers: dict[str, Any]) -> None:
    before = findings(numbers)
    assert "as the structure says in every case" in before
    assert "no gradient in convention, preact, and one in swap, no-norm" in before
    planted = copy.deepcopy(numbers)
    planted["scaling"][0]["change"] = 0.5
    planted["biases"][0]["ratio"] = 1.0
    planted["growth"][0]["norms"] = [2.0, 1.0]
    after = findings(planted)
    assert "against what the structure says in 1" in after
    assert "and one in convention, swap, no-norm" in after
    assert "never gets shorter" in before
    assert "also gets shorter" in after


def test_numbers_repeat_and_the_page_draws(numbers: dict[str, Any]) -> None:
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert measure(**{**PARAMETERS, "sample": 100_000}) == numbers
    for section in present(numbers):
        for figure in section.figures:
            assert "<svg" in figure.draw().svg
    assert structural_facts("small").fingerprint == structural_facts("paper").fingerprint
