"""One process per run, as many at a time as there are cores or GPUs.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path

from ..config import RunConfig
from ..runfolder import RunFolder
from .base import (
    POLL_SECONDS,
    RETRIES,
    THREAD_VARIABLES,
    OnEnd,
    OnNote,
    OnPoll,
    Waiting,
    attempt,
    unheard,
    write_failure,
)
from .gpus import inherited, least_used, visible


@dataclass(frozen=True)
class Processes:
    """Trains each run in a process of its own; see `Executor`. A process that is killed is replaced by another one.

    Attributes:
        jobs: number of processes at a time, at least 1.
        tensorboard: also write event files for TensorBoard.
        gpus: those that the processes are shared among, see `gpus_for`; each gets the one with the fewest of them.
    """

    jobs: int
    tensorboard: bool = False
    gpus: tuple[str, ...] = ()

    def run(
        self, root: Path, configs: Sequence[RunConfig], on_poll: OnPoll, on_end: OnEnd, on_note: OnNote = unheard
    ) -> None:
        """Train the runs."""
        waiting = Waiting(root, configs)
        running: dict[SpawnProcess, RunConfig] = {}
        gpu_of: dict[SpawnProcess, str | None] = {}
        try:
            with interrupts_noted() as interrupts:
                while waiting or running:
                    while waiting and len(running) < self.jobs:
                        config = waiting.take()
                        if RunFolder(root, config).is_done:  # by another comparison in the same folder
                            on_end(config)
                        else:
                            gpu = least_used(self.gpus, gpu_of.values())
                            process = self._start(root, config, gpu)
                            running[process], gpu_of[process] = config, gpu
                    connection.wait([process.sentinel for process in running], timeout=POLL_SECONDS)
                    if interrupts:
                        raise KeyboardInterrupt
                    for process in [process for process in running if not process.is_alive()]:
                        config = running.pop(process)
                        del gpu_of[process]
                        process.join()
                        folder = RunFolder(root, config)
                        if _was_killed(process, folder) and waiting.try_again(config):
                            on_note(f"{config.label}: its process was ended by {_signal(process)}; starting it again")
                            continue
                        _record_silent_death(folder, process)
                        on_end(config)
                    on_poll(list(running.values()))
        finally:
            # Reached with runs under way only when we are interrupted: they go on from their last epoch next time.
            for process in running:
                process.kill()
            for process in running:
                process.join()

    def _start(self, root: Path, config: RunConfig, gpu: str | None) -> SpawnProcess:
        context = multiprocessing.get_context("spawn")
        arguments = (str(root), config, self.tensorboard)
        process = context.Process(target=_work, args=arguments, name=config.label, daemon=True)
        with inherited({**dict.fromkeys(THREAD_VARIABLES, "1"), **visible(gpu)}), interrupts_blocked():
            process.start()
        return process


def _work(root: str, config: RunConfig, tensorboard: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    raise SystemExit(0 if attempt(Path(root), config, tensorboard) else 1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _was_killed(process: SpawnProcess, folder: RunFolder) -> bool:
    return not folder.is_done and process.exitcode is not None and process.exitcode < 0


def _signal(process: SpawnProcess) -> str:
    return f"signal {-(process.exitcode or 0)}"


def _record_silent_death(folder: RunFolder, process: SpawnProcess) -> None:
    if folder.is_done:
        return
    if _was_killed(process, folder):
        write_failure(
            folder,
            "ProcessEnded",
            f"its process was ended by {_signal(process)}, {RETRIES + 1} times; "
            "when the machine ran out of memory, use fewer --jobs",
        )
    elif folder.error() is None:
        write_failure(
            folder,
            "ProcessEnded",
            f"its process ended with exit code {process.exitcode} before the training began; "
            "a script that calls lab.compare must do so under `if __name__ == '__main__':`",
        )


@contextlib.contextmanager
def interrupts_noted() -> Iterator[list[int]]:
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
def interrupts_blocked() -> Iterator[None]:
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
