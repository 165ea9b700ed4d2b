"""Who trains the runs: this process, or one process per run over the machine's cores.

A run gets a process of its own, started afresh ("spawn") with one thread for linear algebra. So runs do not fight
for cores, every run starts from the same state whatever ran before it, and a run that dies (out of memory, killed)
takes no other with it. What a run has to say it writes to its folder: the parent reads progress from there.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path

from ..errors import ArgumentError, explain
from .config import RunConfig
from .runfolder import RunFolder
from .training import train_in_folder

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

#: Called with the runs that are under way, again and again, and with each run that has ended.
OnPoll = Callable[[Sequence[RunConfig]], None]
OnEnd = Callable[[RunConfig], None]


def default_jobs(device: str) -> int:
    """Number of processes when the user names none: the cores this process may use; one on a GPU, which is shared."""
    if device != "cpu":
        return 1
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def execute(
    root: Path,
    configs: Sequence[RunConfig],
    jobs: int,
    on_poll: OnPoll,
    on_end: OnEnd,
) -> None:
    """Train every run that is not done yet; afterwards each folder holds a result or an error.

    Args:
        root: the folder of the comparison.
        configs: the runs to train.
        jobs: number of processes at a time; 0 trains one after the other in this process.
        on_poll: told a few times a second which runs are under way.
        on_end: told of each run that has ended, with a result or an error.
    """
    if jobs < 0:
        raise ArgumentError(explain("execute", "jobs of at least 0", str(jobs)))
    if jobs == 0:
        for config in configs:
            on_poll([config])
            attempt(root, config)
            on_end(config)
        return
    _execute_in_processes(root, configs, jobs, on_poll, on_end)


def attempt(root: Path, config: RunConfig) -> bool:
    """Train one run and record its result, or the cause of its failure. Returns whether there is a result."""
    folder = RunFolder(root, config)
    try:
        train_in_folder(folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded and does not stop the other runs
        folder.write_error({"type": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()})
        return False
    return True


def _execute_in_processes(root: Path, configs: Sequence[RunConfig], jobs: int, on_poll: OnPoll, on_end: OnEnd) -> None:
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(configs))
    running: dict[SpawnProcess, RunConfig] = {}
    try:
        with _interrupts_noted() as interrupts:
            while waiting or running:
                while waiting and len(running) < jobs:
                    config = waiting.pop()
                    process = context.Process(target=_work, args=(str(root), config), name=config.label, daemon=True)
                    with _one_thread_each(), _interrupts_blocked():
                        process.start()
                    running[process] = config
                connection.wait([process.sentinel for process in running], timeout=POLL_SECONDS)
                if interrupts:
                    raise KeyboardInterrupt
                for process in [process for process in running if not process.is_alive()]:
                    config = running.pop(process)
                    process.join()
                    _record_silent_death(RunFolder(root, config), process.exitcode)
                    on_end(config)
                on_poll(list(running.values()))
    finally:
        # Reached with runs under way only when we are interrupted: what they have written is redone next time.
        for process in running:
            process.kill()
        for process in running:
            process.join()


def _work(root: str, config: RunConfig) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    raise SystemExit(0 if attempt(Path(root), config) else 1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _record_silent_death(folder: RunFolder, exit_code: int | None) -> None:
    if folder.is_done or folder.error() is not None:
        return
    if exit_code is not None and exit_code < 0:
        cause = f"its process was ended by signal {-exit_code}; when the machine ran out of memory, use fewer --jobs"
    else:
        cause = (
            f"its process ended with exit code {exit_code} before the training began; "
            "a script that calls lab.compare must do so under `if __name__ == '__main__':`"
        )
    folder.write_error({"type": "ProcessEnded", "message": cause, "traceback": ""})


@contextlib.contextmanager
def _interrupts_noted() -> Iterator[list[int]]:
    """Collect Ctrl-C instead of raising it anywhere: a process being started is never left half-started."""
    heard: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield heard
        return
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process started here never hears Ctrl-C, which a terminal sends to all: the parent decides what it means."""
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows, where the child ignores it as soon as it can
        yield
        return
    resource_tracker.ensure_running()  # else the first process starts it, and that unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
