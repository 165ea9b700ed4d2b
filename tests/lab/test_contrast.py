"""Two comparisons held against each other: planted changes are found, and nothing else."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from tinygrad_bn.errors import ArgumentError
from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig
from tinygrad_bn.lab.contrast import Contrast
from tinygrad_bn.lab.report.folders import report_contrast, report_folders
from tinygrad_bn.lab.statistics import compare_pairs

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

Write = Callable[[Path, CompareConfig, float, int], Comparison]
BASE = CompareConfig(activations=("tanh",), seeds=(0, 1, 2, 3, 4, 5), epochs=2)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, write_comparison: Write) -> tuple[Comparison, Comparison]:
    folder = tmp_path_factory.mktemp("two")
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    longer = dataclasses.replace(BASE, epochs=3, orders=("convention", "swap", "preact"))
    return write_comparison(folder / "a", BASE, 1.0, 0), write_comparison(folder / "b", longer, 2.5, 0)


def test_changes_are_those_of_the_folders(two: tuple[Comparison, Comparison]) -> None:
    contrast = Contrast(*two)
    assert contrast.orders == ["convention", "swap"]
    assert ("epochs", "2", "3") in contrast.settings
    changes = {change.what: change.pair for change in contrast.changes}
    assert list(changes) == ["convention", "swap", "swap − convention"]
    assert changes["convention"].mean_difference == 0.0
    assert not changes["convention"].called
    a, b = (comparison.accuracies("tanh", "swap") for comparison in two)
    assert changes["swap"] == compare_pairs("A", "B", a, b)
    # What swap gains is 1 + 0.1 seed in A, and 2.5 times that in B.
    expected = [1.5 * (1.0 + 0.1 * seed) for seed in range(6)]
    assert changes["swap − convention"].differences == pytest.approx(expected)
    assert changes["swap − convention"].called


def test_its_page_and_files_say_the_same(two: tuple[Comparison, Comparison], tmp_path: Path) -> None:
    text, page, unfinished = report_contrast(two[0].root, two[1].root, tmp_path / "page.html")
    assert unfinished == 0
    assert "epochs: 2 -> 3" in text
    assert "no change from A to B could be shown" in text
    assert "tanh, swap: higher in B than in A" in page.read_text(encoding="utf-8")
    with open(tmp_path / "numbers" / "changes.csv", encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["tanh, swap − convention"]["B − A"] == "+1.88"  # 1.5 * 1.25, the mean over the seeds
    assert (tmp_path / "figures" / "changes.svg").is_file()


def test_nothing_in_common_is_told(two: tuple[Comparison, Comparison], tmp_path: Path, write_comparison: Write) -> None:
    other = write_comparison(tmp_path, dataclasses.replace(BASE, activations=("relu",)), 1.0, 12)
    with pytest.raises(ArgumentError, match="at least one condition in both, got tanh"):
        Contrast(two[0], other)


def test_several_comparisons_share_a_page(two: tuple[Comparison, Comparison], tmp_path: Path) -> None:
    text, page, unfinished = report_folders([two[0].root, two[1].root], tmp_path / "both.html")
    assert unfinished == 0
    assert text.count("tanh: test accuracy") == 2
    content = page.read_text(encoding="utf-8")
    assert 'id="part-1-answer"' in content
    assert 'id="part-2-answer"' in content
    assert (tmp_path / "numbers" / "part-2-runs.csv").is_file()
