"""The paper on bounded functions: its figures beside planted runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tinygrad_bn.lab import quantities
from tinygrad_bn.lab.comparison import Comparison, RunRecord
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.document import Finding, Section
from tinygrad_bn.lab.experiments import bounded_published as published
from tinygrad_bn.lab.experiments.bounded_decay import PUBLISHED_SUM, present_decay, sum_of_learning_rates
from tinygrad_bn.lab.experiments.bounded_results import present_accuracy, present_architecture, present_tuned
from tinygrad_bn.lab.experiments.experiment import SIZES, Training
from tinygrad_bn.lab.experiments.seed_003_bounded import ACTIVATIONS, EXPERIMENT
from tinygrad_bn.lab.recipes import SCHEDULES
from tinygrad_bn.nn import Parameter
from tinygrad_bn.optim import SGD

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

Make = Callable[..., Comparison]
ACCURACY = CompareConfig(model="vgg11", orders=published.ORDERS, activations=("tanh", "relu"), epochs=1)
DECAY = CompareConfig(
    model="vgg11",
    orders=("convention",),
    activations=("tanh",),
    epochs=1,
    gamma_weight_decay=0.0,
    vary={"beta_weight_decay": (0.0, 1e-3, 1e-1)},
)
TUNED = CompareConfig(
    model="vgg11", activations=("tanh",), epochs=1, tune={"learning_rate": (0.01, 0.1), "weight_decay": (5e-4, 5e-3)}
)


def findings(sections: Sequence[Section]) -> str:
    return "\n".join(part.content for section in sections for part in section.parts if isinstance(part, Finding))


def plant(comparison: Comparison, key: str, value: Callable[[RunRecord, int], float]) -> None:
    """Change a number of every layer of every run, by order or decay and seed."""
    for record in comparison.finished:
        result = record.folder.result()
        for layer in result["layers"]:
            layer[key] = value(record, record.config.seed)
        record.folder.write_result(result)


@pytest.mark.parametrize("size", SIZES)
def test_the_paper_s_conditions_are_there(size: str) -> None:
    trainings = {part.name: part.config for part in EXPERIMENT.parts(size) if isinstance(part, Training)}
    assert set(trainings["accuracy"].orders) == {"convention", "swap", "nwdbn"}
    assert {"tanh", "softsign", "relu"} <= set(trainings["accuracy"].activations) <= set(ACTIVATIONS)
    beta = trainings["weight-decay-on-beta"]
    assert (beta.gamma_weight_decay, beta.orders) == (0.0, ("convention",))
    assert set(trainings["tuned"].tune) == {"learning_rate", "weight_decay"}
    for config in trainings.values():
        assert len(config.seeds) >= 6  # fewer could never show a difference


def test_the_paper_size_is_the_paper_s() -> None:
    trainings = {part.name: part.config for part in EXPERIMENT.parts("paper") if isinstance(part, Training)}
    config = trainings["accuracy"]
    assert (config.model, config.width, config.epochs, config.batch_size) == ("vgg16", 64, 200, 128)
    assert (config.schedule, config.augmentation, config.device) == ("two_drops", "crop-flip", "cuda")
    assert trainings["weight-decay-on-affine"].vary == {"affine_weight_decay": published.AFFINE_DECAYS}


@pytest.mark.parametrize(
    ("gain", "tanh", "relu"),
    [
        (1.0, "tanh (bounded): swap does better", "relu (not bounded): swap does better"),
        (-1.0, "tanh (bounded): convention does better", "relu (not bounded): convention does better"),
        (0.0, "tanh (bounded): no difference", "relu (not bounded): no difference"),
    ],
)
def test_accuracy_beside_the_paper(make_comparison: Make, gain: float, tanh: str, relu: str) -> None:
    comparison = make_comparison(ACCURACY, gain=gain)
    text = findings(present_accuracy(comparison))
    assert tanh in text
    assert relu in text
    if gain:
        assert text.count("the same sign") == 1
        assert text.count("the opposite sign") == 1
    section = next(s for s in present_accuracy(comparison) if s.key == "accuracy-vgg")
    rows = {row[0]: row for row in section.tables[0].table.body}
    assert rows["tanh, swap"][1] == "64.84 → 72.17"
    assert rows["tanh, nwdbn"][1] == "64.84 → 67.87"
    assert rows["relu, nwdbn"][1] == "not reported"


def test_an_architecture_that_the_paper_leaves_out(make_comparison: Make) -> None:
    comparison = make_comparison(dataclasses.replace(ACCURACY, model="resnet20", orders=("convention", "swap")))
    (accuracy, mechanism) = present_architecture("resnet", comparison)
    assert {row[1] for row in accuracy.tables[0].table.body} == {"not reported"}
    assert "leaves this architecture out" in str(accuracy)
    assert {row[3] for row in mechanism.tables[0].table.body} == {""}


def test_the_mechanism_is_judged_by_the_pairs(make_comparison: Make) -> None:
    comparison = make_comparison(ACCURACY, gain=1.0)
    plant(
        comparison,
        "skewness",
        lambda record, seed: 0.2 + 0.01 * seed * (record.order == "swap") + (record.order == "swap"),
    )
    plant(comparison, "sparsity", lambda record, seed: {"convention": 0.7, "nwdbn": 0.9, "swap": 0.8}[record.order])
    text = findings(present_accuracy(Comparison(comparison.root)))
    assert "tanh: mean |skewness| is higher in Swap than in Convention (+1.025" in text
    assert (
        "from sparse to dense nwdbn, swap, convention; from accurate to less accurate nwdbn, swap, convention" in text
    )
    assert ": the same sequence." in text
    plant(comparison, "skewness", lambda record, seed: 0.2 + 0.01 * (-1) ** seed * (record.order == "swap"))
    plant(comparison, "sparsity", lambda record, seed: {"convention": 0.95, "nwdbn": 0.9, "swap": 0.8}[record.order])
    text = findings(present_accuracy(Comparison(comparison.root)))
    assert "is not told apart between Swap and Convention" in text
    assert "not the same sequence" in text


@pytest.mark.parametrize(("behind", "says"), [(0.9, "hangs on the poolings here"), (0.2, "does not hang on the")])
def test_where_swap_is_one_sided(make_comparison: Make, behind: float, says: str) -> None:
    comparison = make_comparison(ACCURACY)
    for record in comparison.finished:
        result = record.folder.result()
        names = ("features.0", "features.2", "features.3")
        layers = [{**result["layers"][0], "name": name, "skewness": 0.2} for name in names]
        layers[1]["skewness"] = behind
        record.folder.write_result({**result, "layers": layers})
    text = findings(present_accuracy(Comparison(comparison.root)))
    assert text.count(says) == 1  # of tanh; ReLU is one-sided by itself
    # The mean of the largest of four independent normal values, which the page names.
    z = np.random.default_rng(0).normal(size=(4, 400_000)).max(axis=0)
    assert z.mean() == pytest.approx(1.03, abs=0.005)


def test_the_figures_are_drawn(make_comparison: Make) -> None:
    sections = present_accuracy(make_comparison(ACCURACY))
    drawn = {figure.name: figure.draw().svg for section in sections for figure in section.figures}
    assert set(drawn) == {"by-layer-vgg11", "sparsity-vgg11", "channels", "block"}
    assert drawn["channels"].count("channel ") == 2 * 4  # the planted layers have four channels
    assert drawn["block"].count("channel ") == 3 * 3


def test_without_runs_nothing_is_said(make_comparison: Make) -> None:
    text = findings(present_accuracy(make_comparison(ACCURACY, leave_out=len(ACCURACY.runs()))))
    assert text.count("nothing can be said") == 4


# -- the ablations ----------------------------------------------------------------------------------------


def test_the_sums_of_learning_rates_are_those_of_the_schedules() -> None:
    for schedule in ("cosine", "constant", "two_drops"):
        config = CompareConfig(schedule=schedule, epochs=10, batch_size=10, learning_rate=0.3)
        optimizer = SGD([Parameter(np.zeros(1, dtype=np.float32))], lr=0.3)
        steps = SCHEDULES[schedule](optimizer, 400)
        total = 0.0
        for _ in range(400):
            total += optimizer.param_groups[0]["lr"]
            optimizer.step()
            steps.step()
        assert sum_of_learning_rates(config, 400) == pytest.approx(total, rel=5e-3)
    paper = CompareConfig(schedule="two_drops", epochs=200, batch_size=128, learning_rate=0.01)
    assert sum_of_learning_rates(paper, 391 * 128) == pytest.approx(PUBLISHED_SUM)


def test_skewness_and_accuracy_against_the_decay(make_comparison: Make) -> None:
    comparison = make_comparison(DECAY)
    for record in comparison.finished:
        pull = (record.config.beta_weight_decay or 0.0) * (10.0 + record.config.seed)
        result = record.folder.result()
        for layer in result["layers"]:
            layer["skewness"] = 1.0 - 0.1 * pull
        record.folder.write_result({**result, "test_accuracy": 80.0 - pull, "training_images": 6000})
    (section,) = present_decay("beta_weight_decay", quantities.SKEWNESS, Comparison(comparison.root))
    text = findings([section])
    assert "At 0.001, 0.1 both fall together, as in the paper." in text
    assert "Decays of up to 0.001 already change something that can be called (0.001)." in text
    assert "our range is therefore wider" in " ".join(str(section).split())
    assert section.tables[0].table.body[2][:3] == ("0.1", "0.875", "78.75")
    assert "beta weight decay" in section.figures[0].draw().svg


def test_a_decay_that_accuracy_follows_only_so_far(make_comparison: Make) -> None:
    comparison = make_comparison(DECAY)
    for record in comparison.finished:
        decay = record.config.beta_weight_decay or 0.0
        result = record.folder.result()
        lost = {0.0: 0.0, 1e-3: 1.0, 1e-1: -1.0}[decay] * (1.0 + 0.1 * record.config.seed)
        layers = [{**layer, "skewness": 1.0 - decay * (1.0 + record.config.seed)} for layer in result["layers"]]
        record.folder.write_result({**result, "test_accuracy": 80.0 - lost, "layers": layers})
    text = findings(present_decay("beta_weight_decay", quantities.SKEWNESS, Comparison(comparison.root)))
    assert "At 0.001 both fall together, as in the paper; beyond, accuracy no longer follows." in text
    assert "At 0.1 |skewness|, mean over layers falls" in text


def test_a_decay_without_effect_is_called_so(make_comparison: Make) -> None:
    (section,) = present_decay("beta_weight_decay", quantities.SKEWNESS, make_comparison(DECAY))
    assert "does not change measurably" in findings([section])
    assert "That is not what the paper sees." in findings([section])


def test_tuned_orders_show_what_they_chose(make_comparison: Make) -> None:
    (section,) = present_tuned(make_comparison(TUNED, gain=1.0))
    rows = section.tables[0].table.body
    # The planted tuning runs have a higher accuracy with a higher learning rate.
    assert [row[1] for row in rows] == ["learning rate 0.1, weight decay 0.0005"] * 2
    assert "swap is better" in findings([section])


def test_tuned_orders_without_a_difference(make_comparison: Make) -> None:
    assert "no difference is called" in findings(present_tuned(make_comparison(TUNED, gain=0.0)))
