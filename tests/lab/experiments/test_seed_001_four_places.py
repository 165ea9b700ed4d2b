"""The four places of one BatchNorm: what the layer gets, and how the document's answer is judged."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.document import Finding, Section
from tinygrad_bn.lab.experiments.experiment import Training
from tinygrad_bn.lab.experiments.seed_001_four_places import (
    DEAD,
    EXPERIMENT,
    MARKED,
    PLACES,
    measure_input,
    present_input,
    present_training,
)

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

Make = Callable[..., Comparison]
CONFIG = CompareConfig(model="mlp", orders=tuple(PLACES), activations=("relu",), epochs=1)


def findings(sections: Sequence[Section]) -> str:
    return "\n".join(part.content for section in sections for part in section.parts if isinstance(part, Finding))


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    numbers = measure_input(dataset="digits", width=16, activations=["relu", "tanh"], epochs=1, seed=0)
    back: dict[str, Any] = json.loads(json.dumps(numbers, allow_nan=False))
    return back


def case(numbers: dict[str, Any], option: str, activation: str, time: str) -> dict[str, Any]:
    wanted = (option, activation, f"{time} training")
    found: list[dict[str, Any]] = [c for c in numbers["cases"] if (c["option"], c["activation"], c["time"]) == wanted]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_only_option_2_standardises_the_input(measured: dict[str, Any], activation: str) -> None:
    for option in PLACES:
        found = case(measured, option, activation, "before")
        standardised = np.allclose(found["means"], 0.0, atol=1e-4) and np.allclose(found["deviations"], 1.0, atol=1e-2)
        assert standardised == (option == MARKED)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_after_training_option_2_gives_beta_and_gamma(measured: dict[str, Any], activation: str) -> None:
    found = case(measured, MARKED, activation, "after")
    beta, gamma = found["affine"]
    assert found["means"] == pytest.approx(beta, abs=1e-4)
    # A unit that relu has made constant cannot be stretched to gamma.
    alive = [value > DEAD for value in found["deviations"]]
    assert sum(alive) > 8
    assert np.array(found["deviations"])[alive] == pytest.approx(np.array(gamma)[alive], abs=1e-2)
    assert max(map(abs, beta)) > 1e-3
    assert found["in_evaluation"][0] != pytest.approx(beta, abs=1e-4)


def test_option_1_gives_an_activated_normal(measured: dict[str, Any]) -> None:
    assert measured["expected"]["relu"]["mean"] == pytest.approx(0.39894, abs=1e-4)
    assert measured["expected"]["relu"]["deviation"] == pytest.approx(0.58382, abs=1e-4)
    assert measured["expected"]["tanh"]["mean"] == pytest.approx(0.0, abs=1e-9)
    found = case(measured, "convention+no-norm", "relu", "before")
    assert np.mean(found["means"]) == pytest.approx(0.399, abs=0.05)
    assert np.mean(found["deviations"]) == pytest.approx(0.584, abs=0.05)


def test_before_training_options_3_and_4_are_no_norm(measured: dict[str, Any]) -> None:
    none = case(measured, "no-norm", "tanh", "before")
    for option in ("no-norm+convention", "no-norm+swap"):
        assert case(measured, option, "tanh", "before")["means"] == none["means"]


def test_the_argument_is_told_from_the_numbers(measured: dict[str, Any], tmp_path: Path) -> None:
    sections = present_input(measured)
    for section in sections:
        for figure in section.figures:
            figure.draw().save(tmp_path / f"{figure.name}.svg")
    text = findings(sections)
    assert "that the activation has made constant" in text
    assert text.count("is standardised, up to BatchNorm's eps") == 2
    assert text.count("are still β") == 2
    other = copy.deepcopy(measured)
    for time in ("before", "after"):
        case(other, MARKED, "relu", time)["means"][0] = 0.5
    changed = findings(present_input(other))
    assert changed.count("is not standardised") == 1
    assert changed.count("are no longer β") == 1


# -- the answer -------------------------------------------------------------------------------------------


def test_the_others_are_held_against_the_marked_answer() -> None:
    (training,) = (part for part in EXPERIMENT.parts("small") if isinstance(part, Training))
    assert training.config.orders[0] == MARKED
    assert PLACES[MARKED][0] == "2"
    assert sorted(number for number, _ in PLACES.values()) == ["1", "2", "3", "4", "none"]


@pytest.mark.parametrize(
    ("gain", "says"),
    [
        (1.0, "not the best one here: options 1, 3 and 4 did better"),
        (-1.0, "the marked answer holds here: option 2 did better than options 1, 3 and 4"),
        (0.0, "no option could be told from option 2"),
    ],
)
def test_the_answer_is_judged_by_the_pairs(make_comparison: Make, gain: float, says: str) -> None:
    (section,) = present_training(make_comparison(CONFIG, gain=gain))
    text = findings([section])
    assert says in text
    assert text.count("remains open") == (3 if gain == 0.0 else 0)
    (table,) = section.tables
    names = [row[0] for row in table.table.body]
    assert [name[0] for name in names] == ["1", "2", "3", "4", "n"]
    assert [row[1] for row in table.table.body][1] == "the answer"


def test_one_better_option_is_enough_to_contradict(make_comparison: Make) -> None:
    comparison = make_comparison(CompareConfig(model="mlp", orders=tuple(PLACES)[:2], activations=("relu",)), gain=1.0)
    assert "option 1 did better than option 2" in findings(present_training(comparison))


def test_without_runs_nothing_is_said(make_comparison: Make) -> None:
    comparison = make_comparison(CONFIG, leave_out=len(CONFIG.runs()))
    assert "nothing can be said yet" in findings(present_training(comparison))
