"""The six orders: what differs at a network's ends, the ranks, and the sign that may flip."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tinygrad_bn import data
from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.document import Finding, Section
from tinygrad_bn.lab.experiments.experiment import SIZES, Measurement, Training
from tinygrad_bn.lab.experiments.six_orders import (
    EXPERIMENT,
    FIRST,
    ORDERS,
    PUBLISHED,
    measure_ends,
    present,
    present_ends,
    rank_correlation,
    ranks_of,
)

stats = pytest.importorskip("scipy.stats")
pytest.importorskip("matplotlib")

Make = Callable[..., Comparison]
Write = Callable[[Path, CompareConfig, float, int], Comparison]
CONFIG = CompareConfig(model="mlp", orders=tuple(ORDERS), activations=("relu",), epochs=1)


def findings(sections: Sequence[Section]) -> str:
    return "\n".join(part.content for section in sections for part in section.parts if isinstance(part, Finding))


def test_all_orders_are_there_once_and_the_usual_one_first() -> None:
    words = {"-".join(order) for order in itertools.permutations(("weight", "norm", "act"))}
    assert set(ORDERS) == words
    assert next(iter(ORDERS)) == FIRST
    for size in SIZES:
        trainings = [part for part in EXPERIMENT.parts(size) if isinstance(part, Training)]
        assert [part.name for part in trainings] == ["mlp", "cnn"]
        assert all(part.config.orders == tuple(ORDERS) for part in trainings)
    for published in PUBLISHED.values():
        assert set(published) == words


@pytest.fixture(scope="module")
def ends() -> dict[str, Any]:
    (measurement,) = (part for part in EXPERIMENT.parts("small") if isinstance(part, Measurement))
    numbers: dict[str, Any] = json.loads(json.dumps(measure_ends(**measurement.parameters), allow_nan=False))
    return numbers


def test_ends_of_the_networks(ends: dict[str, Any]) -> None:
    pixels = data.load("fashion_mini", "test").images
    training_set = data.load("fashion_mini", "train")
    below = float((pixels < float(training_set.mean[0])).mean())
    assert ends["negative"] == pytest.approx(below, abs=1e-6)
    mlp = ends["ends"]["mlp"]
    before_weight = [order for order in ORDERS if order.index("norm") < order.index("weight")]
    assert [order for order in ORDERS if mlp[order]["normalised_input"] == 28 * 28] == before_weight
    # BatchNorm over the 784 pixels instead of the last block's 64 units: two numbers each.
    assert mlp["norm-weight-act"]["parameters"] - mlp[FIRST]["parameters"] == 2 * (784 - 64)
    text = findings(present_ends(ends))
    assert f"{below:.0%} of the normalised pixels" in text
    assert "10% of the normalised pixels" in findings(present_ends({**ends, "negative": 0.1}))


def test_ranks_against_scipy() -> None:
    means = {order: mean for order, (mean, _) in PUBLISHED["cnn"].items()}
    other = {order: mean for order, (mean, _) in PUBLISHED["mlp"].items()}
    expected = stats.spearmanr(list(means.values()), list(other.values())).statistic
    assert rank_correlation(means, other) == pytest.approx(expected, abs=1e-9)
    assert list(ranks_of(means).values()) == list(stats.rankdata([-m for m in means.values()], "min").astype(int))
    # The share of the 720 sequences that the page names.
    sequence = {order: float(place) for place, order in enumerate(ORDERS)}
    others = (dict(zip(ORDERS, map(float, places), strict=True)) for places in itertools.permutations(range(6)))
    assert round(sum(abs(rank_correlation(other, sequence)) >= 0.825 for other in others) / 720, 2) == 0.06


def test_ranks_follow_the_runs(make_comparison: Make) -> None:
    (section,) = present("mlp", make_comparison(CONFIG, gain=1.0))
    text = findings([section])
    assert "Best here is ReLU-W-BN, last is W-BN-ReLU" in text
    assert [row[4] for row in section.tables[0].table.body] == ["6", "5", "4", "3", "2", "1"]
    assert "58.18 ± 0.23" in section.tables[0].table.body[0]
    assert "ReLU-W-BN" in section.figures[0].draw().svg


def test_ranks_in_reverse(make_comparison: Make) -> None:
    text = findings(present("mlp", make_comparison(CONFIG, gain=-1.0)))
    assert "Best here is W-BN-ReLU, last is ReLU-W-BN" in text
    assert "told apart from it: W-ReLU-BN" in text


def test_nothing_is_told_apart_where_nothing_differs(make_comparison: Make) -> None:
    assert "none of the others is told apart" in findings(present("mlp", make_comparison(CONFIG, gain=0.0)))


def test_without_runs_no_rank_is_given(make_comparison: Make) -> None:
    text = findings(present("mlp", make_comparison(CONFIG, leave_out=len(CONFIG.runs()))))
    assert "ranks cannot be given" in text


@pytest.mark.parametrize(
    ("in_mlp", "in_cnn", "says"),
    [
        (-1.0, 1.0, "The sign flips between the networks here too: W-BN-ReLU is better in the MLP"),
        (1.0, 1.0, "The sign does not flip here: W-ReLU-BN is better in both"),
        (0.0, 1.0, "cannot be told here"),
    ],
)
def test_the_flip(tmp_path: Path, write_comparison: Write, in_mlp: float, in_cnn: float, says: str) -> None:
    for name in ("mlp", "cnn"):
        (tmp_path / name).mkdir()
    write_comparison(tmp_path / "mlp", CONFIG, in_mlp, 0)
    cnn = write_comparison(tmp_path / "cnn", dataclasses.replace(CONFIG, model="plain_cnn"), in_cnn, 0)
    assert says in findings(present("cnn", cnn))
    assert says not in findings(present("mlp", Comparison(tmp_path / "mlp")))
