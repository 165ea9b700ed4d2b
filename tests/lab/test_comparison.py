"""Reading a comparison from its folder, and printing it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tinygrad_bn.errors import DataError
from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig

Make = Callable[..., Comparison]


def test_printed_tables_are_aligned_and_complete(make_comparison: Make) -> None:
    comparison = make_comparison(CompareConfig(activations=("tanh",)))
    lines = str(comparison.table("tanh")).splitlines()
    assert lines[0].split() == ["seed", "convention", "swap", "swap", "−", "convention"]
    assert lines[1].split() == ["0", "80.00", "81.00", "+1.00"]
    assert lines[6].split() == ["5", "81.50", "83.00", "+1.50"]
    assert set(lines[7]) == {"-"}
    assert lines[8].split() == ["mean", "80.75", "82.00", "+1.25"]
    assert lines[9].startswith("95 % interval")
    assert lines[10].split() == ["sign-flip", "p", ".031"]
    # Numbers end in the same column.
    assert len({len(line) for line in lines}) == 1


def test_the_text_has_tables_answers_and_what_is_missing(make_comparison: Make) -> None:
    text = str(make_comparison(leave_out=1))
    sentence = "With tanh, swap order did better than convention order by 1.25 percentage points"
    assert sentence in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100
    assert "1 run without a result:\n  relu swap seed 5: not trained yet" in text


def test_every_order_is_held_against_the_first(make_comparison: Make) -> None:
    config = CompareConfig(orders=("swap", "convention", "preact"), activations=("tanh",), seeds=(0, 1))
    pairs = make_comparison(config).pairs("tanh")
    assert [(pair.first, pair.second) for pair in pairs] == [("swap", "convention"), ("swap", "preact")]
    assert pairs[1].differences == pytest.approx((2.0, 2.2))


def test_unfinished_runs_are_not_paired(make_comparison: Make) -> None:
    comparison = make_comparison(leave_out=3)
    # The last three runs are relu swap seed 5, relu convention seed 5 and relu swap seed 4.
    assert comparison.pairs("relu")[0].seeds == (0, 1, 2, 3)
    assert comparison.pairs("tanh")[0].seeds == (0, 1, 2, 3, 4, 5)
    assert "n/a" in str(comparison.table("relu"))


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.json"):
        Comparison(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [("result.json", "{}"), ("result.json", '{"test_accuracy": "x"}'), ("result.json", "{"), ("env.json", "")],
)
def test_a_damaged_run_is_told_and_the_others_count(make_comparison: Make, name: str, content: str) -> None:
    comparison = make_comparison()
    folder = comparison.records[0].folder.path
    (folder / name).write_text(content, encoding="utf-8")
    (folder / "metrics.jsonl").write_bytes(b'{"bad\n\xff\n')
    again = Comparison(comparison.root)
    assert again.pairs("tanh")[0].seeds == (1, 2, 3, 4, 5)
    [damaged] = again.unfinished
    assert f"delete {folder} and run the same command" in damaged.failure
    assert damaged.metrics == []
