"""The part "discovery": items in a process of their own, which is started anew after one that failed."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from ..protocol import Worker, WorkerError
from .budget import Budget
from .contestants import start_worker
from .discovery import Item
from .plan import Task
from .record import Record

TIMEOUT = 400.0
"""Seconds after which an item is given up."""


class Discovery:
    """The process that finds items out.

    Args:
        device: where; "cuda", but for a rehearsal.
        folder: takes its log.
        budget: the time there is.
    """

    def __init__(self, device: str, folder: Path, budget: Budget) -> None:
        self._device = device
        self._log = folder / "discovery.log"
        self._budget = budget
        self._worker: Worker | None = None

    def __enter__(self) -> Discovery:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def task(self, item: Item) -> Task:
        """Return the task that finds an item out."""
        return Task(
            "discovery", item.name, item.title, lambda: self._find(item), item.seconds, item.priority, item.name
        )

    def _find(self, item: Item) -> Record:
        if self._worker is None:
            self._worker = start_worker(("benchmarks.gpu.worker_discovery", self._device), self._log)
        try:
            answer = self._worker.ask({"do": item.name}, self._budget.at_most(TIMEOUT))
        except WorkerError as error:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-4000:]
            answer = {"status": "fail", "line": str(error), "data": {}, "trace": said}
        if answer["status"] == "fail":  # it may have left the GPU's context in ruins
            self._end()
        return Record("discovery", item.name, item.title, **answer)

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None
