"""A run folder never shows a half-written result, whenever its writer is stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_bn import nn
from tinygrad_bn.errors import DataError
from tinygrad_bn.lab.config import RunConfig
from tinygrad_bn.lab.runfolder import RunFolder, read_json, write_json


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path, RunConfig())
    folder.begin()
    return folder


def test_the_folder_is_named_by_the_config_and_holds_it(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.path == tmp_path / "runs" / RunConfig().fingerprint
    assert RunConfig.load(folder.path / "config.json") == RunConfig()
    assert not folder.is_done


def test_only_the_result_marks_a_run_as_done(folder: RunFolder) -> None:
    folder.write_environment({"python": "3"})
    folder.write_probes({"layers": np.array(["a"])})
    folder.write_checkpoint(nn.Linear(2, 1))
    folder.add_metrics({"epoch": 1})
    assert not folder.is_done
    folder.write_result({"test_accuracy": 81.0})
    assert folder.is_done
    assert folder.result() == {"test_accuracy": 81.0}


def test_beginning_again_leaves_nothing_of_the_attempt_before(folder: RunFolder) -> None:
    folder.add_metrics({"epoch": 1})
    folder.write_error({"type": "E", "message": "m"})
    folder.write_result({"test_accuracy": 1.0})
    (folder.path / ".probes.npz.123.tmp").write_bytes(b"half")
    folder.begin()
    assert not folder.is_done
    assert folder.error() is None
    assert folder.metrics() == []
    assert [path.name for path in folder.path.iterdir()] == ["config.json"]


def test_a_line_cut_off_by_a_crash_is_left_out(folder: RunFolder) -> None:
    folder.add_metrics({"epoch": 1, "train_loss": float("nan")})
    with open(folder.path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"epoch": 2, "tr')
    assert folder.metrics() == [{"epoch": 1, "train_loss": None}]


def test_probes_come_back_and_damaged_ones_are_named(folder: RunFolder) -> None:
    arrays = {"layers": np.array(["a", "b"]), "000/activation/mean": np.arange(3.0)}
    folder.write_probes(arrays)
    again = folder.probes()
    assert set(again) == set(arrays)
    np.testing.assert_array_equal(again["000/activation/mean"], arrays["000/activation/mean"])
    (folder.path / "probes.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="probe arrays"):
        folder.probes()


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"loss": float("inf"), "layers": [{"skewness": float("nan")}]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"loss": None, "layers": [{"skewness": None}]}


def test_a_writer_killed_in_the_middle_never_shows_half_a_file(tmp_path: Path) -> None:
    """A process rewrites one file for ever and is killed; whatever the moment, the file is whole."""
    path = tmp_path / "result.json"
    program = (
        "import sys, pathlib\n"
        "from tinygrad_bn.lab.runfolder import write_json\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "count = 0\n"
        "while True:\n"
        "    count += 1\n"
        "    write_json(path, {'count': count, 'filling': [count] * 20000})\n"
    )
    for pause in (0.01, 0.05, 0.09):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)])
        try:
            deadline = time.monotonic() + 20
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(pause)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        content = read_json(path)
        assert content["filling"] == [content["count"]] * 20000
        path.unlink()
