"""What a run goes through, the most important first, while there is time."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .budget import Budget
from .record import Record


@dataclass(frozen=True)
class Task:
    """Something that a run does.

    Args:
        part, name, title: as of its record.
        run: does it, and returns its record; what it raises becomes one.
        seconds: about how long it takes, until a task of its kind has shown it.
        priority: 0 comes first; tasks of one priority come in the order of the plan.
        kind: of what tasks take about as long.
    """

    part: str
    name: str
    title: str
    run: Callable[[], Record]
    seconds: float
    priority: int
    kind: str


def run_all(tasks: Iterable[Task], budget: Budget, keep: Callable[[Record], None]) -> None:
    """Do the tasks that fit, one after the other, whatever becomes of each; the others are said to be left out."""
    longest: dict[str, float] = {}
    for task in sorted(tasks, key=lambda task: task.priority):
        expected = longest.get(task.kind, task.seconds)
        if not budget.allows(expected):
            line = f"left out: no time for what takes about {expected:.0f} s"
            keep(Record(task.part, task.name, task.title, "skip", line))
            continue
        start = time.monotonic()
        try:
            record = task.run()
        except Exception as error:  # noqa: BLE001 - the others go on
            line = f"{type(error).__name__}: {error}".splitlines()[0]
            record = Record(task.part, task.name, task.title, "fail", line, trace=traceback.format_exc())
        record.seconds = round(time.monotonic() - start, 2)
        longest[task.kind] = max(longest.get(task.kind, 0.0), record.seconds)
        keep(record)
