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
    assert run(tmp_path, tmp_path / "cache").startswith("0 hits, 1 warnings: compiled kernels could not be read in")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a place where not even root may write")
def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    said = run(tmp_path, Path("/proc/self/cache"))
    assert said.startswith("0 hits, 1 warnings: compiled kernels could not be kept in")


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04\x95"])
def test_broken_files(tmp_path: Path, ending: str, content: bytes) -> None:
    run(tmp_path, tmp_path / "cache")
    files = list((tmp_path / "cache").rglob(f"*{ending}"))
    assert files
    for file in files:
        file.write_bytes(content)
    assert run(tmp_path, tmp_path / "cache").startswith("0 hits, 1 warnings: compiled kernels could not be read in")
    assert run(tmp_path, tmp_path / "cache").startswith("2 hits, 0 warnings"), "it has been mended"


def test_a_message_when_compiling_takes_long() -> None:
    code = """
import time
from tinygrad_bn.kernels.cpu import compiler
compiler._MESSAGE_AFTER = 0.05
with compiler._compiling.until_done():
    compiler._compiling.begin()
    time.sleep(0.3)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "tinygrad_bn: compiling the fast kernels for this machine, once\n"


def test_code_that_nobody_has_used_for_a_long_time_is_removed(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in ("kernels-old", "kernels-new", "notes"))
    for folder in (old, new, other):
        folder.mkdir()
        (folder / "file").write_text("")
    for folder in (old, other):
        os.utime(folder, (1e9, 1e9))
    run(tmp_path, tmp_path)
    assert [folder.exists() for folder in (old, new, other)] == [False, True, True]


STEP = """
import hashlib
import numpy as np
import tinygrad_bn as tg
from tinygrad_bn import nn, optim, functional as F

tg.manual_seed(0)
model = nn.SmallCNN(image_size=16, width=8, order="swap", activation="tanh")
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
for _ in range(3):
    optimizer.zero_grad()
    F.cross_entropy(model(tg.randn(40, 1, 16, 16)), tg.tensor(np.arange(40) % 10)).backward()
    optimizer.step()
digest = hashlib.sha256()
for parameter in model.parameters():
    digest.update(parameter.numpy().tobytes())
print(digest.hexdigest())
"""


def test_compiled_and_loaded_code_compute_the_same_bits(tmp_path: Path) -> None:
    environment = {**os.environ, "TINYGRAD_BN_CACHE": str(tmp_path), "TINYGRAD_BN_THREADS": "1"}
    command = [sys.executable, "-c", STEP]
    compiled, loaded = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)
    )
    assert "compiling" in compiled.stderr
    assert "compiling" not in loaded.stderr
    assert compiled.stdout == loaded.stdout


INTERRUPTED = """
import fcntl
from tinygrad_bn.kernels.cpu import compiler

@compiler.compiled
def double(x):
    x[0] *= 2

try:
    double(1)  # cannot be compiled: a number has no elements
except Exception as error:
    print(type(error).__name__)
with open(compiler.cache_folder() / "lock") as file:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("the lock is free")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the folder's lock is POSIX's")
def test_the_lock_is_free_after_compiling_was_interrupted(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED)
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "TINYGRAD_BN_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["TypingError", "the lock is free"]
