"""With BatchNorm and without: epochs to a level, batch sizes, smoothness, from planted runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.document import Finding, Section
from tinygrad_bn.lab.experiments.bn_or_not import EXPERIMENT, present_batch_sizes, present_landscape
from tinygrad_bn.lab.experiments.experiment import SIZES, Training
from tinygrad_bn.lab.experiments.learning_rate_results import (
    MULTIPLES,
    ORDERS,
    epochs_to,
    level_of,
    present_learning_rates,
)
from tinygrad_bn.lab.probes import Landscape

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

Make = Callable[..., Comparison]
RATES = CompareConfig(
    model="mlp",
    orders=ORDERS,
    activations=("relu",),
    epochs=3,
    vary={"learning_rate": (0.01, 0.05, 0.3)},
)
SIZES_VARIED = dataclasses.replace(RATES, vary={"batch_size": (2, 64)})
SMOOTH = dataclasses.replace(RATES, vary={}, seeds=(0, 1))


def findings(sections: Sequence[Section]) -> str:
    return "\n".join(part.content for section in sections for part in section.parts if isinstance(part, Finding))


@pytest.mark.parametrize("size", SIZES)
def test_the_multiples_are_those_of_the_paper(size: str) -> None:
    (training,) = (part for part in EXPERIMENT.parts(size) if part.name == "learning-rate")
    assert isinstance(training, Training)
    first, *others = training.config.vary["learning_rate"]
    assert [round(rate / first, 9) for rate in (first, *others)][:3] == list(MULTIPLES)


def test_level_and_epochs(make_comparison: Make) -> None:
    # The planted runs have 80 + .3 seed + place (1 + .1 seed) - 10 / epoch percent.
    comparison = make_comparison(RATES, gain=3.0)
    condition = comparison.conditions[0]
    level = level_of(comparison, condition)
    assert level == pytest.approx(80.0 + 0.3 * 2.5 - 10.0 / 3.0)
    assert epochs_to(comparison, condition, "no-norm", level) == [None, None, None, 3, 3, 3]
    assert epochs_to(comparison, condition, "convention", level) == [2, 2, 2, 2, 2, 2]
    (relu, benchmark) = present_learning_rates(comparison)
    cells = {row[0]: row for row in relu.tables[0].table.body}
    assert cells["no-norm, x1"][1:3] == ("31.0 million steps", "3.0 (3 of 6)")
    assert cells["convention, x5"][1:3] == ("2.1 million steps", "2.0 (6 of 6)")
    assert cells["swap, x30"][1] == "not reported"
    assert "x1 swap (+3.75 points" in findings([relu])
    assert "swap, convention, no-norm. That is the sequence of CaffeNet" in findings([benchmark])
    assert relu.figures[0].draw().svg.count("x30") >= 1


def test_the_findings_change_with_the_runs(make_comparison: Make) -> None:
    sections = present_learning_rates(make_comparison(RATES, gain=-3.0))
    assert "the sequence of GoogLeNet" in findings(sections)
    assert "no setting with BatchNorm gets to" in findings(sections)


def test_without_a_level_no_epochs_are_counted(make_comparison: Make) -> None:
    comparison = make_comparison(dataclasses.replace(RATES, activations=("sigmoid",)))
    for record in comparison.finished:
        if record.order == "no-norm":
            record.folder.begin([{**entry, "test_accuracy": 10.0} for entry in record.folder.metrics()])
    (section, _) = present_learning_rates(Comparison(comparison.root))
    rows = {row[0]: row for row in section.tables[0].table.body}
    assert {row[2] for row in rows.values()} == {"no level"}
    assert rows["convention, x5"][1] == "69.8 %"
    assert "learns nothing at x1" in section.tables[0].caption


def test_a_network_that_learns_nothing_is_called_so(make_comparison: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = make_comparison(dataclasses.replace(RATES, activations=("sigmoid",)), gain=3.0)
    accuracies = comparison.accuracies

    def planted(condition: object, order: str) -> dict[int, float]:
        found = accuracies(condition, order)  # type: ignore[arg-type]
        return dict.fromkeys(found, 10.0) if order == "no-norm" else found

    monkeypatch.setattr(comparison, "accuracies", planted)
    assert "without BatchNorm nothing is learned" in findings(present_learning_rates(comparison))


@pytest.mark.parametrize(
    ("gain", "says"),
    [
        (1.0, "BatchNorm helps: 2 (convention), 2 (swap), 64 (convention), 64 (swap)"),
        (-1.0, "BatchNorm harms: 2 (convention), 2 (swap), 64 (convention), 64 (swap)"),
        (0.0, "BatchNorm cannot be told to do either"),
    ],
)
def test_batch_sizes(make_comparison: Make, gain: float, says: str) -> None:
    sections = present_batch_sizes(make_comparison(SIZES_VARIED, gain=gain))
    assert says in findings(sections)
    assert ("no difference is called at any batch size" in findings(sections)) == (gain == 0.0)


@pytest.mark.parametrize(
    ("with_norm", "says"), [(1.0, "BatchNorm makes the loss smoother"), (9.0, "does not make the loss smoother")]
)
def test_smoothness(make_comparison: Make, with_norm: float, says: str) -> None:
    comparison = make_comparison(SMOOTH)
    for record in comparison.finished:
        change = 3.0 if record.order == "no-norm" else with_norm
        place = Landscape(2.0, 1.0, (0.1,), (1.5,), (change,))
        record.folder.write_landscape([{"step": 0, **place.to_dict(), "hessian": {}}])
    (section,) = present_landscape(comparison)
    assert says in findings([section])
    assert [row[2] for row in section.tables[0].table.body] == [f"{10 * c:.2f}" for c in (3.0, with_norm, with_norm)]
