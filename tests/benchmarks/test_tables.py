from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy, memory, tables, workloads
from benchmarks.growth import growth_table
from benchmarks.report import Report
from benchmarks.tables import Outcomes, Ratio, markdown, ratios, significant
from benchmarks.timing import Outcome


def outcome(milliseconds: float, deviation: float = 0.0) -> Outcome:
    return Outcome(rounds=[milliseconds / 1e3] * 3, results=[1.0], deviation=deviation)


OUTCOMES: Outcomes = {
    "ours": outcome(8.0),
    "torch-eager": outcome(16.0),
    "torch-channels-last": outcome(10.0),
    "torch-compile": outcome(5.0, deviation=0.5),
    "jax": Outcome(failure="no memory"),
}
BARS = {"eager": 0.7, "torch-compile": 0.9, "jax": 1.0}


def test_ratios_are_taken_of_medians_and_eager_counts_in_its_better_layout() -> None:
    assert ratios(OUTCOMES, BARS) == [
        Ratio("ours", "eager", pytest.approx(0.8), 0.7),
        Ratio("ours", "torch-eager", pytest.approx(0.5), None),
        Ratio("ours", "torch-channels-last", pytest.approx(0.8), None),
        Ratio("ours", "torch-compile", None, 0.9),  # other results: no ratio
        Ratio("ours", "jax", None, 1.0),
    ]


def test_a_layout_with_other_results_is_not_the_better_one() -> None:
    outcomes = {**OUTCOMES, "torch-channels-last": outcome(1.0, deviation=1.0)}
    assert tables.better_eager(outcomes) == pytest.approx(0.016)
    assert tables.better_eager({"ours": outcome(1.0)}) is None


@pytest.mark.parametrize(
    ("value", "bar", "verdict"), [(0.7, 0.7, "pass"), (0.71, 0.7, "miss"), (None, 0.7, ""), (0.5, None, "")]
)
def test_a_bar_is_met_up_to_itself(value: float | None, bar: float | None, verdict: str) -> None:
    assert Ratio("ours", "eager", value, bar).verdict == verdict


def test_both_settings_of_ours_are_compared() -> None:
    found = ratios({"ours": outcome(8.0), "ours-SkylakeX": outcome(4.0), "torch-eager": outcome(10.0)}, {})
    assert [(r.ours, r.peer, r.value) for r in found if r.peer == "eager"] == [
        ("ours", "eager", pytest.approx(0.8)),
        ("ours-SkylakeX", "eager", pytest.approx(0.4)),
    ]


def test_cells_say_what_could_not_be_compared() -> None:
    cells = [tables.milliseconds(OUTCOMES[name]) for name in ("ours", "torch-compile", "jax")]
    assert cells == ["8.00", "5.00 (other results)", "failed"]
    assert tables.milliseconds(None) == "-"
    assert tables.spread(Outcome(rounds=[0.001, 0.002, 0.003])) == "1.50 .. 2.50"


@pytest.mark.parametrize(
    ("number", "text"), [(1234.5, "1234"), (123.4, "123"), (12.345, "12.3"), (1.0, "1.00"), (0.0123456, "0.0123")]
)
def test_numbers_have_three_significant_digits(number: float, text: str) -> None:
    assert significant(number) == text


def test_columns_are_aligned() -> None:
    assert markdown(["ms", "ours"], [["a long name", "1"], ["b", "10.5"]]).splitlines() == [
        "| ms          | ours |",
        "| ----------- | ---: |",
        "| a long name |    1 |",
        "| b           | 10.5 |",
    ]


def test_the_ratios_table_names_the_bars() -> None:
    lines = tables.ratios_table({"VGG": ratios(OUTCOMES, BARS)}).splitlines()
    assert "PyTorch eager, better layout" in lines[0]
    assert "0.80 (<= 0.7 miss)" in lines[2]


def test_single_operations_stand_side_by_side() -> None:
    forward = {"ours": outcome(1.0), "torch-eager": outcome(2.0)}
    table = tables.operations_table([("relu, forward", True, forward), ("relu, both", False, OUTCOMES)])
    cells = [cell.strip() for cell in table.splitlines()[2].split("|")[1:-1]]
    assert cells == ["relu", "1.00", "2.00", "0.50", "8.00", "10.0", "0.80"]


def test_memory_is_compared_with_the_smaller_layout() -> None:
    peaks = {"ours": 90_000_000, "torch-eager": 200_000_000, "torch-channels-last": 100_000_000}
    table = memory.memory_table({"VGG": peaks}, ["ours", "torch-eager", "torch-channels-last"], tuple(peaks)[1:])
    assert "0.90 (<= 1 pass)" in table


def test_growth_is_told_by_its_exponent() -> None:
    curves = {value: {"ours": outcome(value**2)} for value in (1, 10, 30)}
    rows = growth_table("depth", curves, ["ours"]).splitlines()[2:]
    assert [row.split("|")[-2].strip() for row in rows] == ["-", "2.00", "2.00"]


def test_the_relative_error_is_one_of_norms() -> None:
    exact = np.array([3.0, 4.0])
    assert accuracy.relative_error(np.array([3.0, 4.05]), exact) == pytest.approx(0.01)


def test_winograds_shapes_have_a_wider_bar() -> None:
    errors = {"ours": {"output": 2e-7, "input": 5e-7, "weight": 3e-6}}
    bars = {operation.title: accuracy.bar_of(operation) for operation in workloads.convolution_shapes()}
    measured = {title: accuracy.Accuracy(errors, bar) for title, bar in bars.items()}
    lines = accuracy.accuracy_table(measured, ["ours", "torch-eager"]).splitlines()
    assert "torch-eager" not in lines[0]
    cells = {line.split("|")[1].strip(): line for line in lines[2:]}
    assert "2.0e-07" in cells["conv3x3 64-64 14x14"]
    assert cells["conv3x3 64-64 14x14"].endswith("<= 1e-05 pass |")
    for title in ("conv1x1 32-64 32x32", "conv3x3 16-32 32x32 stride 2", "depthwise3x3 128-128 16x16"):
        assert cells[title].endswith("<= 1e-06 miss |")


def test_a_report_is_written_as_markdown_and_json(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    network, graph = workloads.find("vgg11"), workloads.find("graph")
    report = Report(
        machine={"date": "a day", "cores": 2},
        contestants=list(OUTCOMES),
        about={"ours": {"versions": {"tinygrad_bn": "0"}, "threads": 2, "blas": []}},
        missing={"chainer": "chainer cannot be installed: ERROR"},
        timed=[(network, OUTCOMES), (graph, {"ours": outcome(10.0)}), (workloads.find("relu/both"), OUTCOMES)],
        memory={"VGG11": {"ours": 1_000_000}},
        growth={"batch": {1: {"ours": outcome(1.0)}, 2: {"ours": outcome(2.0)}}},
        accuracy={"conv": accuracy.Accuracy({"ours": {"output": 1e-7, "input": 1e-7, "weight": 1e-7}}, 1e-6)},
    )
    report.write(tmp_path / "results")
    found = json.loads((tmp_path / "results" / "results.json").read_text())
    assert found["timed"]["vgg11"]["outcomes"]["ours"]["median"] == pytest.approx(0.008)
    assert found["timed"]["vgg11"]["ratios"][0]["value"] == pytest.approx(0.8)
    text = (tmp_path / "results" / "results.md").read_text()
    assert "* ours: 100" in text  # thousands of nodes per second
    assert "VGG11, jax: no memory" in text
    assert "VGG11, torch-compile: other results than ours (by 50.0%, more than 1%)" in text
    assert "chainer cannot be installed" in text
    assert (tmp_path / "results" / "growth-batch.svg").read_text().startswith("<?xml")
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        "results.json",
        "results.md",
        "growth-batch.svg",
    }
