"""The experiment as a whole: its parts, and what it says about trained networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.document import Finding
from tinygrad_bn.lab.experiments.experiment import SIZES, Measurement, Training
from tinygrad_bn.lab.experiments.seed_002_bn_then_relu import EXPERIMENT, SMALL, present

pytest.importorskip("matplotlib")

Make = Callable[..., Comparison]
CONFIG = replace(SMALL, seeds=(0, 1), vary={"learning_rate": (0.02, 0.1)})


@pytest.mark.parametrize("size", SIZES)
def test_the_parts_have_names_of_their_own(size: str) -> None:
    parts = EXPERIMENT.parts(size)
    names = [part.name for part in parts]
    assert names == [
        "range",
        "dead-units",
        "batch-noise",
        "gradient-depth",
        "structural-facts",
        "with-and-without",
    ]
    assert [isinstance(part, Measurement) for part in parts] == [True] * 5 + [False]


def test_the_small_training_ends_in_minutes() -> None:
    training = EXPERIMENT.parts("small")[-1]
    assert isinstance(training, Training)
    assert len(training.config.runs()) * training.config.epochs < 400


def test_zeros_and_dead_channels_are_those_of_the_runs(make_comparison: Make) -> None:
    comparison = make_comparison(CONFIG)
    (section,) = present(comparison)
    table = section.tables[0].table
    assert len(table.body) == 4 * 3
    condition = comparison.conditions[0]
    records = comparison.of(condition, "convention")
    zeros = [layer["zero_fraction"] for record in records for layer in record.result["layers"]]
    row = next(row for row in table.body if row[0] == f"{condition.label}, convention")
    assert row[1] == f"{100 * sum(zeros) / len(zeros):.1f} %"
    assert row[3:] == ("8", "0 of 2 runs")
    assert "<svg" in section.figures[0].draw().svg


def test_the_finding_changes_with_the_runs(make_comparison: Make) -> None:
    comparison = make_comparison(CONFIG)
    before = _findings(comparison)
    for record in comparison.finished:
        if record.order == "swap" and record.condition.activation == "relu":
            for layer in record.result["layers"]:
                layer["dead_channels"] = 3
    after = _findings(comparison)
    assert "0.0 BN behind" in before[0]
    assert "6.0 BN behind" in after[0]
    assert before[1] == after[1]


def test_runs_that_diverged_are_left_out(make_comparison: Make) -> None:
    comparison = make_comparison(CONFIG)
    for record in comparison.finished:
        record.result["diverged"] = record.order == "no-norm"
    assert "without BN" not in _findings(comparison)[0]
    (section,) = present(comparison)
    assert section.tables[0].table.body[0][1] == "none"
    assert section.tables[0].table.body[0][4] == "2 of 2 runs"


def test_nothing_finished_is_said(make_comparison: Make) -> None:
    config = CompareConfig(activations=("relu",), orders=("convention", "swap"), seeds=(0,))
    assert _findings(make_comparison(config, leave_out=2)) == ["No training has finished."]


def _findings(comparison: Comparison) -> list[str]:
    return [part.content for section in present(comparison) for part in section.parts if isinstance(part, Finding)]
