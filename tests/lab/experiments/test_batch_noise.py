"""The noise of batch statistics: against NumPy and against theory."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.document import Finding
from tinygrad_bn.lab.experiments.batch_noise import batch_noise, batch_statistics, measure, present

pytest.importorskip("matplotlib")

TINY: dict[str, Any] = {
    "batch_sizes": [2, 8, 64],
    "batches": 2000,
    "companions": 4,
    "images": 6,
    "training": {"model": "mlp", "width": 8, "depth": 1, "dataset": "digits", "epochs": 1},
}


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return measure(**TINY)


def findings(numbers: dict[str, Any]) -> list[str]:
    return [part.content for section in present(numbers) for part in section.parts if isinstance(part, Finding)]


def test_batch_statistics_are_numpys() -> None:
    batches = np.random.default_rng(0).normal(3.0, 2.0, size=(5, 7))
    mean, variance = batch_statistics(batches)
    np.testing.assert_allclose(mean, batches.mean(axis=0))
    np.testing.assert_allclose(variance, batches.var(axis=0, ddof=1))


def test_normal_values_are_as_noisy_as_derived(numbers: dict[str, Any]) -> None:
    for row in numbers["statistics"]:
        assert row["normal"]["mean"] == pytest.approx(row["batch_size"] ** -0.5, rel=0.07)
        assert row["normal"]["variance"] == pytest.approx((2 / (row["batch_size"] - 1)) ** 0.5, rel=0.12)


def test_real_units_are_as_noisy_as_their_kurtosis_says(numbers: dict[str, Any]) -> None:
    for row in numbers["statistics"]:
        assert row["unit"]["mean"] == pytest.approx(row["derived_mean"], rel=0.15)
        assert row["unit"]["variance"] == pytest.approx(row["derived_unit_variance"], rel=0.2)


def test_answers_are_less_noisy_in_larger_batches(numbers: dict[str, Any]) -> None:
    noise = [answer["noise"] for answer in numbers["answers"]]
    assert noise[0] > noise[1] > noise[2] > 0


def test_findings_follow_the_numbers(numbers: dict[str, Any]) -> None:
    planted = copy.deepcopy(numbers)
    planted["kurtosis"] = 3.0
    planted["statistics"][0]["normal"]["mean"] *= 2
    planted["answers"] = planted["answers"][::-1]
    for answer, size in zip(planted["answers"], TINY["batch_sizes"], strict=True):
        answer["batch_size"] = size
    before, after = findings(numbers), findings(planted)
    assert "do not follow theory" in after[0]
    assert "heavier tails" in after[1]
    assert "falls from" in before[2]
    assert "grows from" in after[2]


def test_numbers_repeat_and_the_page_draws(numbers: dict[str, Any]) -> None:
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert measure(**TINY) == numbers
    for section in present(numbers):
        for figure in section.figures:
            assert "<svg" in figure.draw().svg
    assert set(batch_noise("small").parameters) == set(batch_noise("paper").parameters) == set(TINY)
