"""Telling how far a comparison is: bars on a terminal (rich), plain lines everywhere else."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from .runfolder import RunFolder

#: Seconds without a line after which a log is told how far the runs are.
PATIENCE = 30.0


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

    def note(self, text: str) -> None:
        """One line of news: an address, a lost worker."""


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

    def note(self, text: str) -> None:
        """Nothing."""


class PlainLines:
    """One line per finished run, and one per run under way when nothing was said for a while: for logs and pipes.

    Args:
        total: number of runs of the comparison.
        done: how many of them were done before.
        stream: where the lines go; standard output by default.
        patience: seconds of silence after which the runs under way are told.
    """

    def __init__(self, total: int, done: int, stream: TextIO | None = None, patience: float = PATIENCE) -> None:
        self._pace = Pace(total, done)
        self._stream = stream
        self._patience = patience
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._say(self._pace.opening)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def running(self, folders: Sequence[RunFolder]) -> None:
        """How far each run is, when nothing was said for a while."""
        epochs = self._pace.watch(folders)
        if time.monotonic() - self._said < self._patience:
            return
        for folder in folders:
            left = self._pace.left_of(folder)
            self._say(
                f"{self._column()} {folder.config.label}: {position(folder, epochs[folder.path])}"
                + (f"  ({left} left)" if left else "")
            )
        if not folders:
            self._say(f"{self._column()} no run is under way")

    def ended(self, folder: RunFolder) -> None:
        """One line for this run."""
        self._pace.end(folder)
        left = f"  ({self._pace.left} left)" if self._pace.left else ""
        self._say(f"{self._column()} {outcome(folder)}{left}")

    def note(self, text: str) -> None:
        """The line."""
        self._say(text)

    def _column(self) -> str:
        return f"[{self._pace.done:{len(str(self._pace.total))}}/{self._pace.total}]"

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        print(line, file=self._stream or sys.stdout, flush=True)


class RichBars:
    """A bar for the comparison and one for each run under way, with finished runs scrolling above."""

    def __init__(self, total: int, done: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        self._pace = Pace(total, done)
        self._bars: Any = Bars(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        self._total = self._bars.add_task("all runs", total=total, completed=done, note="")
        self._tasks: dict[Path, Any] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        self.note(self._pace.opening)
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def running(self, folders: Sequence[RunFolder]) -> None:
        """Move the bars of the runs under way; an epoch is a step."""
        epochs = self._pace.watch(folders)
        for folder in folders:
            config = folder.config
            if folder.path not in self._tasks:
                self._tasks[folder.path] = self._bars.add_task(config.label, total=config.epochs, note="epochs")
            left = self._pace.left_of(folder)
            note = f"epochs, {left} left" if left else "epochs"
            self._bars.update(self._tasks[folder.path], completed=epochs[folder.path], note=note)
        for path in set(self._tasks) - {folder.path for folder in folders}:  # back in the line, without its worker
            self._bars.remove_task(self._tasks.pop(path))
        self._tell_total()

    def ended(self, folder: RunFolder) -> None:
        """Turn the run's bar into a line."""
        task = self._tasks.pop(folder.path, None)
        if task is not None:
            self._bars.remove_task(task)
        self._pace.end(folder)
        self._tell_total()
        self.note(outcome(folder))

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text, highlight=False, markup=False)

    def _tell_total(self) -> None:
        note = f"{self._pace.left} left" if self._pace.left else ""
        self._bars.update(self._total, completed=self._pace.done, note=note)


def choose(total: int, done: int) -> Progress:
    """Bars in a terminal or a notebook when what draws them is installed, else plain lines."""
    if importlib.util.find_spec("rich") is not None:
        from rich import get_console

        # In a notebook rich draws moving bars with the widgets of ipywidgets, and without them not at all.
        notebook = get_console().is_jupyter and importlib.util.find_spec("ipywidgets") is not None
        if sys.stdout.isatty() or notebook:
            return RichBars(total, done)
    return PlainLines(total, done)


def position(folder: RunFolder, epochs: int) -> str:
    """How far a run is: `epoch 3 of 5, test accuracy 81.25 %`."""
    if not epochs:
        return f"in the first of {folder.config.epochs} epochs"
    accuracy = folder.metrics()[-1]["test_accuracy"]
    return f"epoch {epochs} of {folder.config.epochs} done, {_judged(folder)} {accuracy:.2f} %"


def outcome(folder: RunFolder) -> str:
    """What became of a run, in one line."""
    label = folder.config.label
    if folder.is_done:
        result = folder.result()
        diverged = "  diverged" if result["diverged"] else ""
        accuracy = f"{_judged(folder)} {result['test_accuracy']:.2f} %"
        return f"{label}: {accuracy}, {duration(result['seconds'])}{diverged}"
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


def _judged(folder: RunFolder) -> str:
    return "validation accuracy" if folder.config.validation_share else "test accuracy"


class Pace:
    """How many runs are done, and how long the others will take at the pace so far.

    Args:
        total: number of runs of the comparison.
        done: how many of them were done before.

    Attributes:
        total, done: as they are now.
    """

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done = total, done
        self._done_before = done
        self._started = time.monotonic()
        self._first_seen: dict[Path, int] = {}  # how many epochs of a run were done when it was first seen
        self._shares: dict[Path, float] = {}  # of the runs under way: what part of each was trained here
        self._trained = 0.0  # how much of runs that have ended was trained here

    @property
    def opening(self) -> str:
        """What there is to do."""
        found = f", {self._done_before} already done" if self._done_before else ""
        return f"{self.total} runs{found}"

    def watch(self, folders: Sequence[RunFolder]) -> dict[Path, int]:
        """Look at the runs under way, and return how many epochs of each are done."""
        epochs = {folder.path: len(folder.metrics()) for folder in folders}
        for folder in folders:
            before = self._first_seen.setdefault(folder.path, epochs[folder.path])
            self._shares[folder.path] = max(0, epochs[folder.path] - before) / folder.config.epochs
        return epochs

    def end(self, folder: RunFolder) -> None:
        """This run has ended."""
        self.done += 1
        before = self._first_seen.get(folder.path, 0)
        self._trained += 1.0 - before / folder.config.epochs
        self._shares.pop(folder.path, None)

    @property
    def left(self) -> str:
        """How long everything will take, `about 2 min 5 s`; nothing while that cannot be known, or all is done."""
        trained = self._trained + sum(self._shares.values())
        remaining = self.total - self.done - sum(self._shares.values())
        # The first runs hold the start of everything: a pace is known only after some more.
        if trained < 2.0 or remaining <= 0.0:
            return ""
        return f"about {duration((time.monotonic() - self._started) / trained * remaining)}"

    def left_of(self, folder: RunFolder) -> str:
        """How long a run under way will take; nothing while that cannot be known."""
        before = self._first_seen[folder.path]
        lines = folder.metrics()
        if len(lines) == before or len(lines) >= folder.config.epochs:
            return ""
        # By the epochs' own times, so that the number does not move between two of them but for the clock.
        ours = [line["seconds"] for line in lines[before:]]
        return f"about {duration(sum(ours) / len(ours) * (folder.config.epochs - len(lines)))}"
