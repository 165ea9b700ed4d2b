"""Machine code is kept between processes, and a folder that cannot be used costs time and a warning, nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

PROGRAM = """
import warnings
from pathlib import Path
import numpy as np
from tinygrad_bn.kernels.cpu import compiler

@compiler.compiled
def double(x):
    for i in range(len(x)):
        x[i] *= 2

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for dtype in ("float32", "float64"):
        x = np.ones(3, dtype)
        double(x)
        assert (x == 2).all()
hits = sum(double.stats.cache_hits.values())
print(hits, "hits,", len(caught), "warnings:", *(w.message for w in caught))
"""


def run(tmp_path: Path, folder: Path) -> str:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "TINYGRAD_BN_CACHE": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, tmp_path / "cache").startswith("0 hits, 0 warnings")
    assert run(tmp_path, tmp_path / "cache").startswith("2 hits, 0 warnings")


def test_several_processes_that_start_together_all_finish(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "TINYGRAD_BN_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, str(tmp_path / "program.py")]
    together = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    results = [process.communicate(timeout=120)[0] for process in together]
    assert all("0 warnings" in result for result in results), results
    assert sum(int(result.split()[0]) for result in results) == 4, "one of them compiled both, for all"


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    assert run(tmp_path, tmp_path / "cache").startswith("0 hits, 1 warnings: compiled kernels cannot be kept in")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a place where not even root may write")
def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    assert run(tmp_path, Path("/proc/self/cache")).startswith("0 hits, 1 warnings: compiled kernels cannot be kept in")


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04\x95"])
def test_broken_files(tmp_path: Path, ending: str, content: bytes) -> None:
    run(tmp_path, tmp_path / "cache")
    files = list((tmp_path / "cache").rglob(f"*{ending}"))
    assert files
    for file in files:
        file.write_bytes(content)
    assert run(tmp_path, tmp_path / "cache").startswith("0 hits, 1 warnings: compiled kernels cannot be kept in")
    assert run(tmp_path, tmp_path / "cache").startswith("2 hits, 0 warnings"), "it has been mended"


def test_a_message_when_compiling_takes_long() -> None:
    code = """
import time
from tinygrad_bn.kernels.cpu import compiler
compiler._MESSAGE_AFTER = 0.05
compiler._compiling.begin()
time.sleep(0.3)
compiler._compiling.end()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "tinygrad_bn: compiling the fast kernels for this machine, once\n"
