"""What a small batch leaves of a value, against the distribution of the sample deviation."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tinygrad_bn.lab.document import Finding
from tinygrad_bn.lab.experiments.batch_of_two import (
    BATCHES,
    expected_correlation,
    measure_batches,
    present_batches,
)

stats = pytest.importorskip("scipy.stats")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(measure_batches(**BATCHES.parameters), allow_nan=False))
    return found


@pytest.mark.parametrize("size", [2, 3, 8, 512])
def test_the_derived_correlation_is_the_mean_of_the_sample_deviation(size: int) -> None:
    # B s^2 has a chi-squared distribution with B - 1 degrees of freedom.
    assert expected_correlation(size) == pytest.approx(stats.chi(size - 1).mean() / size**0.5, rel=1e-12)


def test_what_was_seen_agrees(numbers: dict[str, Any]) -> None:
    for batch in numbers["batches"]:
        assert batch["correlation_seen"] == pytest.approx(batch["correlation_derived"], abs=4e-3)
        assert batch["largest"] <= batch["bound"] * (1.0 + 1e-6)


def test_a_batch_of_two_keeps_a_sign(numbers: dict[str, Any]) -> None:
    two = numbers["batches"][0]
    assert two["batch_size"] == 2
    assert two["largest"] == pytest.approx(1.0, abs=1e-6)
    assert two["deviation_of_magnitude"] < 1e-4


def test_the_finding_follows_the_numbers(numbers: dict[str, Any]) -> None:
    assert "which of the two is larger and nothing else" in _finding(numbers)
    planted = copy.deepcopy(numbers)
    planted["batches"][0]["deviation_of_magnitude"] = 0.25
    assert "magnitudes still differ" in _finding(planted)


def test_the_chart_is_drawn(numbers: dict[str, Any]) -> None:
    (section,) = present_batches(numbers)
    assert "batch of 32" in section.figures[0].draw().svg


def _finding(numbers: dict[str, Any]) -> str:
    (section,) = present_batches(numbers)
    (finding,) = [part.content for part in section.parts if isinstance(part, Finding)]
    return finding
