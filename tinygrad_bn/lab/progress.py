"""Telling how far a comparison is: bars on a terminal (rich), plain lines everywhere else."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from .runfolder import RunFolder


class Progress(Protocol):
    """What the comparison tells while it runs; a context manager around the training."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def running(self, folders: Sequence[RunFolder]) -> None:
        """These runs are under way; their folders say how far they are."""

    def ended(self, folder: RunFolder) -> None:
        """This run has ended, with a result or an error."""


class Silent:
    """Says nothing: for use as a library."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def running(self, folders: Sequence[RunFolder]) -> None:
        """Nothing."""

    def ended(self, folder: RunFolder) -> None:
        """Nothing."""


class PlainLines:
    """One line per finished run, with the time left: for logs and pipes.

    Args:
        total: number of runs of the comparison.
        done: how many of them were done before.
        stream: where the lines go; standard output by default.
    """

    def __init__(self, total: int, done: int, stream: TextIO | None = None) -> None:
        self._clock = _Clock(total, done)
        self._stream = stream

    def __enter__(self) -> Self:
        self._say(self._clock.opening)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def running(self, folders: Sequence[RunFolder]) -> None:
        """Nothing: a log needs no line per epoch."""

    def ended(self, folder: RunFolder) -> None:
        """One line for this run."""
        self._clock.done += 1
        width = len(str(self._clock.total))
        left = f"  ({self._clock.left} left)" if self._clock.left else ""
        self._say(f"[{self._clock.done:{width}}/{self._clock.total}] {outcome(folder)}{left}")

    def _say(self, line: str) -> None:
        print(line, file=self._stream or sys.stdout, flush=True)


class RichBars:
    """A bar for the comparison and one for each run under way, with finished runs scrolling above."""

    def __init__(self, total: int, done: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        self._clock = _Clock(total, done)
        self._bars: Any = Bars(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        self._total = self._bars.add_task("all runs", total=total, completed=done, note="")
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        self._bars.console.print(self._clock.opening, highlight=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def running(self, folders: Sequence[RunFolder]) -> None:
        """Move the bars of the runs under way; an epoch is a step."""
        for folder in folders:
            config = folder.config
            if config.label not in self._tasks:
                self._tasks[config.label] = self._bars.add_task(config.label, total=config.epochs, note="epochs")
            self._bars.update(self._tasks[config.label], completed=len(folder.metrics()))

    def ended(self, folder: RunFolder) -> None:
        """Turn the run's bar into a line."""
        task = self._tasks.pop(folder.config.label, None)
        if task is not None:
            self._bars.remove_task(task)
        self._clock.done += 1
        note = f"{self._clock.left} left" if self._clock.left else ""
        self._bars.update(self._total, completed=self._clock.done, note=note)
        self._bars.console.print(outcome(folder), highlight=False, markup=False)


def choose(total: int, done: int) -> Progress:
    """Bars when standard output is a terminal and rich is installed, else plain lines."""
    if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        return RichBars(total, done)
    return PlainLines(total, done)


def outcome(folder: RunFolder) -> str:
    """What became of a run, in one line."""
    label = folder.config.label
    if folder.is_done:
        result = folder.result()
        diverged = "  diverged" if result["diverged"] else ""
        return f"{label}: test accuracy {result['test_accuracy']:.2f} %, {duration(result['seconds'])}{diverged}"
    error = folder.error() or {"type": "unknown", "message": "no cause was recorded"}
    return f"{label}: FAILED: {error['type']}: {error['message']}"


def duration(seconds: float) -> str:
    """A time span for a reader.

    >>> duration(8.24), duration(75), duration(7300)
    ('8.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


class _Clock:
    """How many runs are done, and how long the others will take at the pace so far."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done = total, done
        self._done_before = done
        self._started = time.monotonic()

    @property
    def opening(self) -> str:
        found = f", {self._done_before} already done" if self._done_before else ""
        return f"{self.total} runs{found}"

    @property
    def left(self) -> str:
        trained = self.done - self._done_before
        remaining = self.total - self.done
        # The first runs end together after a while of silence: a pace is known only after some more.
        if trained < 3 or not remaining:
            return ""
        return f"about {duration((time.monotonic() - self._started) / trained * remaining)}"
