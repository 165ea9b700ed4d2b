"""Progress: plain lines that a log can keep, bars on a terminal, and times for readers."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from tinygrad_bn.lab import progress
from tinygrad_bn.lab.comparison import Comparison
from tinygrad_bn.lab.config import CompareConfig, RunConfig
from tinygrad_bn.lab.runfolder import RunFolder

CONFIG = CompareConfig(activations=("tanh",), seeds=(0, 1), epochs=2)


def test_plain_lines_count_name_and_judge_every_run(make_comparison: Callable[..., Comparison]) -> None:
    comparison = make_comparison(CONFIG, leave_out=1)
    folders = [record.folder for record in comparison.records]
    folders[-1].begin()
    folders[-1].write_error({"type": "ValueError", "message": "no luck", "traceback": ""})
    stream = io.StringIO()
    with progress.PlainLines(total=4, done=1, stream=stream) as told:
        for folder in folders[1:]:
            told.running([folder])
            told.ended(folder)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "4 runs, 1 already done"
    assert lines[1].startswith("[2/4] tanh swap seed 0: test accuracy 81.00 %, 2.0 s")
    assert lines[2].startswith("[3/4] tanh convention seed 1: test accuracy 80.30 %")
    assert lines[3] == "[4/4] tanh swap seed 1: FAILED: ValueError: no luck"
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_the_time_left_is_told_once_the_pace_is_known(make_comparison: Callable[..., Comparison]) -> None:
    folders = [record.folder for record in make_comparison(CONFIG).records]
    stream = io.StringIO()
    with progress.PlainLines(total=5, done=0, stream=stream) as told:
        for folder in folders:
            told.ended(folder)
    assert ["left)" in line for line in stream.getvalue().splitlines()[1:]] == [False, True, True, True]


def test_a_long_run_is_told_while_it_is_under_way(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, RunConfig(epochs=4))
    folder.begin()
    stream = io.StringIO()
    with progress.PlainLines(total=2, done=0, stream=stream, patience=0.0) as told:
        told.running([folder])
        for epoch in (1, 2):
            folder.add_metrics({"epoch": epoch, "test_accuracy": 50.0 + epoch, "seconds": 60.0})
        told.running([folder])
        told.note("a worker is gone")
        told.running([])
    assert stream.getvalue().splitlines()[1:] == [
        "[0/2] relu convention seed 0: in the first of 4 epochs",
        "[0/2] relu convention seed 0: epoch 2 of 4 done, test accuracy 52.00 %  (about 2 min 0 s left)",
        "a worker is gone",
        "[0/2] no run is under way",
    ]


def test_a_log_is_not_told_of_every_epoch(tmp_path: Path) -> None:
    stream = io.StringIO()
    with progress.PlainLines(total=2, done=0, stream=stream) as told:
        for _ in range(5):
            told.running([RunFolder(tmp_path, RunConfig())])
    assert stream.getvalue() == "2 runs\n"


def test_epochs_that_were_there_before_say_nothing_about_the_pace(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, RunConfig(epochs=10))
    folder.begin([{"epoch": epoch, "seconds": 1000.0} for epoch in range(1, 9)])
    pace = progress.Pace(total=4, done=0)
    pace.watch([folder])
    assert pace.left_of(folder) == ""
    folder.add_metrics({"epoch": 9, "seconds": 2.0})
    pace.watch([folder])
    assert pace.left_of(folder) == "about 2.0 s"
    pace.end(folder)
    assert pace.left == ""  # a fifth of a run was trained


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_gets_bars_where_it_can_show_them(monkeypatch: pytest.MonkeyPatch, widgets: bool) -> None:
    rich = pytest.importorskip("rich")
    find = importlib.util.find_spec
    there = object() if widgets else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: there if name == "ipywidgets" else find(name))
    monkeypatch.setattr(rich.get_console(), "is_jupyter", True)
    assert isinstance(progress.choose(3, 0), progress.RichBars if widgets else progress.PlainLines)


def test_output_that_is_no_terminal_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.choose(total=3, done=0) as told:
        assert isinstance(told, progress.PlainLines)
    assert capsys.readouterr().out == "3 runs\n"


def test_bars_follow_the_folders(
    make_comparison: Callable[..., Comparison], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    comparison = make_comparison(CONFIG)
    folders = [record.folder for record in comparison.records]
    with progress.RichBars(total=4, done=0) as told:
        told.running(folders[:2])
        for folder in folders:
            told.ended(folder)
    out = capsys.readouterr().out
    for folder in folders:
        assert f"{folder.config.label}: test accuracy" in out
    assert "4/4" in out


def test_a_run_without_any_record_is_named(tmp_path: Path) -> None:
    line = progress.outcome(RunFolder(tmp_path, RunConfig()))
    assert line == "relu convention seed 0: FAILED: unknown: no cause was recorded"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (119.6, "2 min 0 s"), (3600, "1 h 0 min")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text
