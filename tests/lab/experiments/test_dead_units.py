"""Dead units: the condition on beta and gamma, the probe against a count by hand, and the words."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest

from tinygrad_bn.lab.document import Finding
from tinygrad_bn.lab.experiments.dead_units import SHIFTED, dead_share, dead_units, measure, present

stats = pytest.importorskip("scipy.stats")
pytest.importorskip("matplotlib")

TINY: dict[str, Any] = {
    "orders": ["convention", "swap", "no-norm"],
    "activations": ["relu", "leaky_relu"],
    "initializations": ["default", SHIFTED],
    "bias_shift": -5.0,
    "learning_rates": [0.05],
    "seeds": 1,
    "network": {"depth": 2, "width": 16, "dataset": "digits", "epochs": 1, "batch_size": 128},
    "sample": 5000,
    "offsets": [0.0, 100.0],
    "ratios": [-6.0, -1.0, 0.0],
}


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return measure(**TINY)


def run(numbers: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    (found,) = [entry for entry in numbers["runs"] if all(entry[key] == value for key, value in wanted.items())]
    return dict(found)


def findings(numbers: dict[str, Any]) -> list[str]:
    return [part.content for section in present(numbers) for part in section.parts if isinstance(part, Finding)]


def test_about_half_of_any_inputs_pass_batchnorm_and_relu(numbers: dict[str, Any]) -> None:
    assert [entry["positive_inputs"] for entry in numbers["offsets"]] == [pytest.approx(0.5, abs=0.03), 1.0]
    assert [entry["alive"] for entry in numbers["offsets"]] == [pytest.approx(0.5, abs=0.03)] * 2


def test_beta_over_gamma_decides_what_passes(numbers: dict[str, Any]) -> None:
    for entry in numbers["ratios"]:
        assert entry["derived"] == pytest.approx(stats.norm.cdf(entry["ratio"]))
        assert entry["alive"] == pytest.approx(entry["derived"], abs=0.02)
    assert numbers["ratios"][0]["alive"] == 0.0


def test_a_bias_shift_kills_units_unless_batchnorm_takes_it_out(numbers: dict[str, Any]) -> None:
    shifted = {order: run(numbers, order=order, activation="relu", initialization=SHIFTED) for order in TINY["orders"]}
    usual = run(numbers, order="convention", activation="relu", initialization="default")
    assert shifted["convention"]["before"] == usual["before"] == 0
    assert shifted["no-norm"]["before"] == shifted["no-norm"]["units"] == 32
    assert shifted["swap"]["before"] == 32


def test_leaky_relu_has_no_dead_units(numbers: dict[str, Any]) -> None:
    assert all(entry["before"] == entry["after"] == 0 for entry in numbers["runs"] if entry["activation"] != "relu")


def test_every_unit_has_a_ratio(numbers: dict[str, Any]) -> None:
    ratios = run(numbers, order="convention", activation="relu", initialization="default")["ratios"]
    assert len(ratios["dead"]) + len(ratios["alive"]) == 32
    assert run(numbers, order="swap", activation="relu", initialization="default")["ratios"] is None


def test_diverged_runs_do_not_count_as_without_dead_units() -> None:
    runs = [{"unstable": True, "after": 0, "units": 10}, {"unstable": False, "after": 5, "units": 10}]
    assert dead_share(runs) == 0.5
    assert math.isnan(dead_share(runs[:1]))


def test_findings_follow_the_numbers(numbers: dict[str, Any]) -> None:
    assert "So no unit dies of it." in findings(numbers)[0]
    assert "BatchNorm before ReLU takes a bias out" in " ".join(findings(numbers))
    assert "with LeakyReLU: BN before none in 1 trainings" in findings(numbers)[-1]
    planted = copy.deepcopy(numbers)
    planted["offsets"][1]["alive"] = 0.0
    for entry in planted["runs"]:
        entry["before"], entry["after"] = 8, 16
    assert "So units can die of it." in findings(planted)[0]
    assert "takes a bias out" not in " ".join(findings(planted))
    assert "BN before 50.0 % (more than 1 % in 1 of 1 trainings" in findings(planted)[-1]


def test_numbers_are_json_and_the_page_draws(numbers: dict[str, Any]) -> None:
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    for section in present(numbers):
        for figure in section.figures:
            assert "<svg" in figure.draw().svg
    assert set(dead_units("small").parameters) == set(dead_units("paper").parameters) == set(TINY)
