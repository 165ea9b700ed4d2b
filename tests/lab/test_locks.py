"""A lock keeps others away, and dies with its holder."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tinygrad_bn.lab import locks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no locks on Windows")

HOLD = (
    "import sys, time, pathlib\n"
    "from tinygrad_bn.lab import locks\n"
    "with locks.held(pathlib.Path(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


def test_the_second_one_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    order = []

    def second() -> None:
        with locks.held(path):
            order.append("second")

    assert not locks.is_held(path)
    with locks.held(path):
        assert locks.is_held(path)
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]
    assert not locks.is_held(path)


def test_a_lock_ends_with_an_error_and_with_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyError), locks.held(path):
        raise KeyError
    assert not locks.is_held(path)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert locks.is_held(path)
        process.kill()
    with locks.held(path):
        pass


def test_a_file_system_without_locks_keeps_nobody_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(locks.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with locks.held(tmp_path / "lock"):
        assert not locks.is_held(tmp_path / "lock")


def test_other_errors_of_a_file_system_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(locks.errno.EIO, "Input/output error")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with pytest.raises(OSError, match="Input/output"), locks.held(tmp_path / "lock"):
        pass
