"""Batch norm by hand, the Keras model, and pre- and post-activation trained."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.document import Code, Finding, Section
from tinygrad_bn.lab.experiments.seed_004_basics import EXPERIMENT, NAMES, present_training
from tinygrad_bn.lab.experiments.seed_004_by_hand import BY_HAND, EPS, backward, forward
from tinygrad_bn.lab.experiments.seed_004_keras_style import KERAS_STYLE

pytest.importorskip("scipy")

Make = Callable[..., Comparison]


def findings(sections: Sequence[Section]) -> str:
    return "\n".join(part.content for section in sections for part in section.parts if isinstance(part, Finding))


def measured(measurement: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads(json.dumps(measurement.measure(**measurement.parameters), allow_nan=False))
    return numbers


@pytest.fixture(scope="module")
def by_hand() -> dict[str, Any]:
    return measured(BY_HAND)


@pytest.fixture(scope="module")
def keras_style() -> dict[str, Any]:
    return measured(KERAS_STYLE)


def test_by_hand_is_what_torch_does() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(3)
    x, grad = random.normal(3.0, 2.0, (9, 4)), random.normal(size=(9, 4))
    gamma, beta = random.normal(size=4), random.normal(size=4)
    output, cache = forward(x, gamma, beta, EPS)
    tensors = [torch.tensor(value, requires_grad=True) for value in (x, gamma, beta)]
    expected = torch.nn.functional.batch_norm(tensors[0], None, None, *tensors[1:], training=True, eps=EPS)
    expected.backward(torch.tensor(grad))
    assert output == pytest.approx(expected.detach().numpy())
    for found, tensor in zip(backward(grad, cache), tensors, strict=True):
        assert found == pytest.approx(tensor.grad.numpy())


def test_the_engine_agrees_with_the_listing(by_hand: dict[str, Any]) -> None:
    for found in by_hand["differences"].values():
        assert len(found) == 4
        assert max(found.values()) < 1e-12
    assert max(by_hand["running"].values()) < 1e-12


def test_statistics_are_not_trained_but_carry_gradient(by_hand: dict[str, Any]) -> None:
    by_name = {row["name"]: row for row in by_hand["tensors"]}
    assert [name for name, row in by_name.items() if row["by_optimizer"]] == ["weight", "bias"]
    assert all(row["by_forward"] == (row["kind"] == "buffer") for row in by_name.values())
    straight, true = by_hand["column_sums"]
    assert true < 1e-12
    assert straight > 0.1
    assert by_hand["constants"] > 0.1


def test_the_listing_is_shown_and_judged(by_hand: dict[str, Any]) -> None:
    sections = BY_HAND.present(by_hand)
    (code,) = (part.content for part in sections[0].parts if isinstance(part, Code))
    assert "def forward(" in code
    assert "def backward(" in code
    text = findings(sections)
    assert "The three agree to rounding" in text
    assert "The optimiser changes weight and bias;" in text
    assert "are the same." in text
    other = copy.deepcopy(by_hand)
    other["differences"]["expansion"]["output"] = 0.1
    other["running"]["running mean, Keras' momentum"] = 0.1
    other["tensors"][1]["by_optimizer"] = False
    changed = findings(BY_HAND.present(other))
    assert "The three do not agree" in changed
    assert "are not the same" in changed
    assert "The optimiser changes weight;" in changed


def test_shapes_and_parameters_are_those_of_keras(keras_style: dict[str, Any]) -> None:
    # (inputs + 1) * units for a dense layer; two trained and two kept numbers per channel for a normalisation.
    assert [layer["features"] for layer in keras_style["layers"]] == [[96, 0], [544, 0], [64, 64], [66, 0]]
    assert [layer["axis_1"] for layer in keras_style["layers"]] == [[96, 0], [544, 0], [2, 2], [66, 0]]
    assert [layer["shape"] for layer in keras_style["layers"]] == [[64, 1, 16], [64, 1, 32], [64, 1, 32], [64, 1, 2]]
    assert keras_style["softmax"] < 1e-6


def test_axis_1_normalises_all_units_together(keras_style: dict[str, Any]) -> None:
    units = keras_style["units"]
    assert units["features"]["means"] == pytest.approx([0.0, 0.0], abs=1e-5)
    assert units["axis_1"]["means"][0] < -0.1 < 0.1 < units["axis_1"]["means"][1]
    assert units["axis_1"]["together"] == pytest.approx([0.0, 1.0], abs=0.02)


def test_the_axis_is_judged_by_the_numbers(keras_style: dict[str, Any]) -> None:
    assert "Most likely axis=-1" in findings(KERAS_STYLE.present(keras_style))
    other = copy.deepcopy(keras_style)
    other["units"]["axis_1"]["means"] = [0.0, 0.0]
    other["softmax"] = 0.5
    changed = findings(KERAS_STYLE.present(other))
    assert "Here both axes give units of equal means" in changed
    assert "do not sum to 1" in changed


CONFIG = CompareConfig(orders=tuple(NAMES), activations=("relu",), epochs=10)


@pytest.mark.parametrize(
    ("gain", "place", "without"),
    [
        (1.0, "post-activation is better here, as the tutorial says", "does better than with pre-activation"),
        (-1.0, "pre-activation is better here, against the tutorial", "does worse than with pre-activation"),
        (0.0, "neither place can be called better", "cannot be told"),
    ],
)
def test_the_claims_are_judged_by_the_pairs(make_comparison: Make, gain: float, place: str, without: str) -> None:
    (section,) = present_training(make_comparison(CONFIG, gain=gain))
    text = findings([section])
    assert place in text
    assert without in text
    _, epochs = section.tables
    assert epochs.table.heading[1] == "epoch 1"
    assert epochs.table.heading[-1] == "epoch 10"
    assert len(epochs.table.heading) == 9


def test_speed_is_read_from_the_epochs(make_comparison: Make) -> None:
    # Accuracy after epoch e is final - 10 / e: with a lead of more than nine points the first epoch is enough.
    text = findings(present_training(make_comparison(CONFIG, gain=-6.0)))
    assert "pre-activation after epoch 1" in text
    assert "pre-activation never" in findings(present_training(make_comparison(CONFIG, gain=6.0)))


def test_without_runs_nothing_is_said(make_comparison: Make) -> None:
    comparison = make_comparison(CONFIG, leave_out=len(CONFIG.runs()))
    assert "nothing can be said yet" in findings(present_training(comparison))


@pytest.mark.parametrize("size", ["small", "paper"])
def test_every_size_has_all_parts(size: str) -> None:
    assert [part.name for part in EXPERIMENT.parts(size)] == ["by-hand", "keras-style", "pre-and-post"]
