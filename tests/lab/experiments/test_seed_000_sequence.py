"""The walk through both sequences, its explanation, and what comes after."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.document import CaptionedTable, Finding, Section
from tinygrad_bn.lab.experiments.experiment import Measurement, Training
from tinygrad_bn.lab.experiments.seed_000_next_layers import NEXT_LAYERS
from tinygrad_bn.lab.experiments.seed_000_population import (
    NORM_LAST,
    RELU_LAST,
    measure_population,
    present_population,
    rectified_moments,
)
from tinygrad_bn.lab.experiments.seed_000_sequence import (
    EXPERIMENT,
    present_two_networks,
    present_walk,
    stages_of,
    walk,
)

stats = pytest.importorskip("scipy.stats")
pytest.importorskip("matplotlib")

Make = Callable[..., Comparison]


def findings(sections: Sequence[Section]) -> str:
    return "\n".join(part.content for section in sections for part in section.parts if isinstance(part, Finding))


def kept(numbers: dict[str, Any]) -> dict[str, Any]:
    """The numbers as they come back from disk."""
    back: dict[str, Any] = json.loads(json.dumps(numbers, allow_nan=False))
    return back


def draw_all(sections: Sequence[Section], folder: Path) -> int:
    figures = [figure for section in sections for figure in section.figures]
    for figure in figures:
        figure.draw().save(folder / f"{figure.name}.svg")
    return len(figures)


# -- the walk ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walked() -> dict[str, Any]:
    return kept(walk(seed=10, size=5, others=500))


def test_the_walk_is_what_numpy_makes_of_the_image(walked: dict[str, Any]) -> None:
    stages = {name: np.array(picture) for name, picture in walked["stages"].items()}
    image = stages["input"]
    normalized = (image - image.mean()) / np.sqrt(image.var() + 1e-5)
    rectified = np.maximum(image, 0.0)
    swapped = (rectified - rectified.mean()) / np.sqrt(rectified.var() + 1e-5)
    assert stages["BN"] == pytest.approx(normalized)
    assert stages[RELU_LAST] == pytest.approx(np.maximum(normalized, 0.0))
    assert stages[NORM_LAST] == pytest.approx(swapped)
    for name, output in ((RELU_LAST, np.maximum(normalized, 0.0)), (NORM_LAST, swapped)):
        pooled = output[:4, :4].reshape(2, 2, 2, 2).max(axis=(1, 3))
        assert stages[f"{name} → pool"] == pytest.approx(pooled)


def test_batch_norm_keeps_the_shape_and_relu_the_sign(walked: dict[str, Any]) -> None:
    moments = walked["moments"]
    # The article's two observations.
    assert moments["BN"]["skewness"] == pytest.approx(moments["input"]["skewness"])
    assert moments[NORM_LAST]["skewness"] == pytest.approx(moments["ReLU"]["skewness"])
    assert moments[RELU_LAST]["zeros"] > 0.0 == moments[NORM_LAST]["zeros"]


def test_the_image_does_what_the_article_describes(walked: dict[str, Any]) -> None:
    pooled = [np.mean(walked["stages"][f"{name} → pool"]) for name in (RELU_LAST, NORM_LAST)]
    assert pooled[1] > pooled[0]
    assert walked["one_cut"] == 4


def test_other_images_are_normalised_one_by_one() -> None:
    images = np.random.default_rng(0).normal(size=(1, 3, 5, 5))
    together = stages_of(images)
    alone = stages_of(images[:, 1:2])
    for name, stage in together.items():
        assert stage[1] == pytest.approx(alone[name][0])


def test_the_walk_is_shown_as_it_was_seen(walked: dict[str, Any], tmp_path: Path) -> None:
    sections = present_walk(walked)
    assert draw_all(sections, tmp_path) == 4
    assert "“slightly more values in Y axis”" in findings(sections)
    other = copy.deepcopy(walked)
    other["stages"][f"{NORM_LAST} → pool"] = [[0.0, 0.0], [0.0, 0.0]]
    other["moments"]["BN"]["skewness"] += 0.1
    other["one_cut"] = 0
    text = findings(present_walk(other))
    assert "not what the article saw" in text
    assert "changes the shape" in text
    assert "nearly the other one on another scale" in text


# -- many values ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return kept(measure_population(seed=1, images=40, means=[-1.0, 0.0, 1.0]))


EXPECTED = {
    f"{RELU_LAST}: mean": 0.3989,
    f"{RELU_LAST}: standard deviation": 0.5838,
    f"{RELU_LAST}: skewness": 1.6406,
    f"{RELU_LAST}: exact zeros": 0.5,
    f"{NORM_LAST}: skewness": 1.6406,
    f"{NORM_LAST}: exact zeros": 0.0,
    f"{NORM_LAST}: floor": -0.6833,
    f"{RELU_LAST} → pool: mean": 1.0458,
    f"{NORM_LAST} → pool: mean": 1.1079,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_derived_and_seen_are_as_expected(measured: dict[str, Any], name: str) -> None:
    row = {row["name"]: row for row in measured["quantities"]}[name]
    assert row["integral"] == pytest.approx(EXPECTED[name], abs=1e-4)
    if row["closed_form"] is not None:
        assert row["closed_form"] == pytest.approx(row["integral"], abs=1e-9)
    # Skewness comes from third powers, so few values weigh much.
    assert row["seen"] == pytest.approx(row["integral"], abs=0.03 if "skewness" in name else 0.01)


@pytest.mark.parametrize("mean", [-1.0, 0.3])
def test_moments_of_a_rectified_normal_are_those_of_scipy(mean: float) -> None:
    # relu(m + z) has an atom at 0; its moments are those of the positive part.
    positive = stats.norm(mean)
    powers = [positive.expect(lambda x, k=k: x**k, lb=0.0) for k in (1, 2, 3)]
    deviation = math.sqrt(powers[1] - powers[0] ** 2)
    skewness = (powers[2] - 3 * powers[0] * powers[1] + 2 * powers[0] ** 3) / deviation**3
    found = rectified_moments(mean)
    assert [found[name] for name in ("mean", "deviation", "skewness")] == pytest.approx(
        [powers[0], deviation, skewness]
    )


def test_only_the_range_differs_where_the_mean_is_0(measured: dict[str, Any]) -> None:
    below, at, above = measured["cuts"]
    assert at["correlation_derived"] == pytest.approx(1.0)
    for cut in (below, at, above):
        assert cut["correlation_seen"] == pytest.approx(cut["correlation_derived"], abs=0.01)
        assert cut["floor_seen"][RELU_LAST] == pytest.approx(0.5, abs=0.01)
        assert cut["floor_seen"][NORM_LAST] == pytest.approx(stats.norm.cdf(-cut["mean"]), abs=0.01)
        assert cut["correlation_with_beta"] == pytest.approx(1.0, abs=1e-4)
    assert below["correlation_seen"] < above["correlation_seen"] < 0.95


def test_at_mean_0_one_output_is_a_line_of_the_other(measured: dict[str, Any]) -> None:
    curve = measured["cuts"][1]["curve"]
    convention, swap = np.array(curve[RELU_LAST]), np.array(curve[NORM_LAST])
    # swap = (convention - mean) / deviation, with the moments of a rectified normal distribution.
    assert swap == pytest.approx((convention - 0.39894) / 0.58382, abs=1e-3)


def test_the_explanation_follows_the_numbers(measured: dict[str, Any], tmp_path: Path) -> None:
    sections = present_population(measured)
    assert draw_all(sections, tmp_path) == 2
    text = findings(sections)
    assert "6% more" in text
    assert text.count("only the range differs") == 1
    assert text.count("here more than the range differs") == 2
    other = copy.deepcopy(measured)
    for row in other["quantities"]:
        if row["name"] == f"{NORM_LAST} → pool: mean":
            row["seen"] = 0.5
    other["cuts"][1]["correlation_seen"] = 0.5
    other["cuts"][1]["correlation_with_beta"] = 0.5
    changed = findings(present_population(other))
    assert "% less" in changed
    assert "only the range differs" not in changed
    assert "Even with the shift" in changed


# -- what comes after -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def after() -> dict[str, Any]:
    return kept(NEXT_LAYERS.measure(**NEXT_LAYERS.parameters))


def test_pooling_commutes_unless_gamma_is_negative(after: dict[str, Any]) -> None:
    for row in after["pooling"]:
        if row["sequence"] == "ReLU" or row["gamma"] >= 0.0:
            assert row["maximum_first"] < 1e-12
        else:
            assert row["minimum_first"] < 1e-12
            assert row["maximum_first"] > 1.0
    assert after["batch_statistics"] > 0.1


def test_kernels_take_up_the_difference_up_to_the_padding(after: dict[str, Any]) -> None:
    without, padded = after["convolution"]
    assert max(without["inside"], without["border"], padded["inside"]) < 1e-10
    assert padded["border"] > 0.1


def test_the_limits_are_told_from_the_numbers(after: dict[str, Any]) -> None:
    text = findings(NEXT_LAYERS.present(after))
    assert "max pooling before or after gives the same" in text
    assert "it is a minimum pooling that gives the same" in text
    assert "give the same inside and do not give the same at the border" in text
    other = copy.deepcopy(after)
    other["pooling"][0]["maximum_first"] = 0.5
    other["convolution"][1]["border"] = 0.0
    changed = findings(NEXT_LAYERS.present(other))
    assert "does not give the same" in changed
    assert "give the same inside and give the same at the border" in changed


# -- the two networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "says"),
    [
        (1.0, "swap is better by 1.25"),
        (-1.0, "convention is better by 1.25"),
        (0.0, "no difference in accuracy can be shown"),
    ],
)
def test_the_two_networks_are_judged_by_the_pairs(make_comparison: Make, gain: float, says: str) -> None:
    comparison = make_comparison(CompareConfig(activations=("relu",), epochs=1), gain=gain)
    (section,) = present_two_networks(comparison)
    text = findings([section])
    assert says in text
    # The made-up runs all have the same loss.
    assert "no difference in the test loss can be shown either" in text
    assert ("that sign 6 times out of 6" in text) == (gain != 0.0)
    (table,) = section.tables
    assert [row[1] for row in table.table.body] == ["no large difference"] * 2


def test_a_difference_of_the_loss_is_told(make_comparison: Make) -> None:
    comparison = make_comparison(CompareConfig(activations=("relu",), epochs=1))
    for record in comparison.records:
        place = 0.02 + 0.001 * record.config.seed if record.order == "swap" else 0.0
        path = record.folder.path / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"test_loss": 0.4 + place}))
    assert "it is higher with swap (0.023 [" in findings(present_two_networks(Comparison(comparison.root)))


def test_unfinished_networks_are_not_judged(make_comparison: Make) -> None:
    comparison = make_comparison(CompareConfig(activations=("relu",), seeds=(0,), epochs=1), leave_out=2)
    assert "nothing can be said yet" in findings(present_two_networks(comparison))


@pytest.mark.parametrize("size", ["small", "paper"])
def test_every_size_has_all_parts(size: str) -> None:
    parts = EXPERIMENT.parts(size)
    assert [part.name for part in parts] == ["walk", "population", "next-layers", "two-networks"]
    assert [type(part) for part in parts] == [Measurement] * 3 + [Training]


def test_names_of_figures_and_tables_are_unique(walked: dict[str, Any], measured: dict[str, Any]) -> None:
    sections = [*present_walk(walked), *present_population(measured)]
    for kind in ("figures", "tables"):
        names = [part.name for section in sections for part in getattr(section, kind)]
        assert len(set(names)) == len(names)
    assert all(isinstance(table, CaptionedTable) for section in sections for table in section.tables)
