"""What all executors have in common: their interface, a run's attempt, and the line of runs that wait."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ..config import RunConfig
from ..runfolder import RunFolder
from ..training import train_in_folder
from .gpus import gpus_for

#: Called with the runs that are under way, again and again; with each run that has ended; with news for the user.
OnPoll = Callable[[Sequence[RunConfig]], None]
OnEnd = Callable[[RunConfig], None]
OnNote = Callable[[str], None]

# Our kernels, and each library that NumPy may call for linear algebra, read their own variable when they are loaded.
THREAD_VARIABLES = (
    "TINYGRAD_BN_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)
POLL_SECONDS = 0.25
#: How often a run is begun again after whoever trained it was killed.
RETRIES = 2


class Executor(Protocol):
    """Trains runs."""

    def run(
        self, root: Path, configs: Sequence[RunConfig], on_poll: OnPoll, on_end: OnEnd, on_note: OnNote = ...
    ) -> None:
        """Train every run that is not done yet; afterwards each folder holds a result or an error.

        A run that was begun before goes on from its last epoch.

        Args:
            root: the folder of the comparison.
            configs: the runs to train.
            on_poll: told a few times a second which runs are under way.
            on_end: told of each run that has ended, with a result or an error.
            on_note: told what a user should know, in one line: an address, a lost worker.
        """


def unheard(note: str) -> None:
    """Take a note and tell nobody."""


def default_jobs(device: str) -> int:
    """Number of processes when the user names none: the cores this process may use; with "cuda" one for each GPU.

    Raises:
        DeviceError: no GPU can be used; the message says why.
    """
    if device != "cpu":
        return max(1, len(gpus_for(device)))
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def attempt(root: Path, config: RunConfig, tensorboard: bool = False, check: Callable[[], None] = lambda: None) -> bool:
    """Train one run and record its result, or the cause of its failure. Returns whether there is a result.

    While another process trains this run, this one waits; what that one has finished is not trained again.

    Args:
        root: the folder of the comparison.
        config: the run.
        tensorboard: also write event files.
        check: called after each epoch; what it raises that is no `Exception` ends the attempt without a record.
    """
    folder = RunFolder(root, config)
    with folder.locked():
        if folder.is_done:
            folder.forget_state()
            return True
        try:
            train_in_folder(folder, tensorboard=tensorboard, after_epoch=check)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded and does not stop the other runs
            write_failure(folder, type(error).__name__, str(error), traceback.format_exc())
            return False
    return True


def write_failure(folder: RunFolder, kind: str, message: str, trace: str = "") -> None:
    """Record why there is no result."""
    folder.write_error({"type": kind, "message": message, "traceback": trace})


class Waiting:
    """The runs that nobody trains yet, and how often each has lost the process that trained it.

    Args:
        root: the folder of the comparison.
        configs: the runs, in the order in which they should be begun.
    """

    def __init__(self, root: Path, configs: Sequence[RunConfig]) -> None:
        self._root = root
        self._configs = list(configs)
        self._losses: Counter[RunConfig] = Counter()

    def __len__(self) -> int:
        return len(self._configs)

    def take(self) -> RunConfig:
        """The next run. One that another process trains at this moment comes after all others."""
        free = (i for i, config in enumerate(self._configs) if not RunFolder(self._root, config).is_being_trained)
        return self._configs.pop(next(free, 0))

    def put_back(self, config: RunConfig) -> None:
        """Let a run be the next one, without its having lost anything."""
        self._configs.insert(0, config)

    def try_again(self, config: RunConfig) -> bool:
        """Let a run whose process was killed be the next one; False when that has happened too often."""
        self._losses[config] += 1
        if self._losses[config] > RETRIES:
            return False
        self.put_back(config)
        return True
