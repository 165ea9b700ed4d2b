"""The part "bench": workloads side by side with PyTorch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..tables import milliseconds
from ..timing import Effort, Fleet, Outcome, measure
from ..workloads import Workload
from .plan import Task
from .record import Record
from .workloads import NETWORKS, NORMS, REHEARSED, SINGLE, tolerance_of


def tasks(fleet: Fleet, quick: bool) -> list[Task]:
    """Return what is measured, in order: first what has bars, half of it before the tests."""
    rounds = 5 if quick else 9
    network, single = Effort(rounds, 0.2, 0.02, 0.02), Effort(rounds, 0.1, 0.02, 0.02)
    with_bars = [workload for workload in NETWORKS if workload.bars]
    made = [
        *(_task(fleet, workload, network, 1, 60.0) for workload in with_bars[:2]),
        *(_task(fleet, workload, single, 1, 30.0) for workload in NORMS[:2]),
        *(_task(fleet, workload, network, 3, 60.0) for workload in with_bars[2:]),
        *(_task(fleet, workload, single, 5, 30.0) for workload in (*NORMS[2:], *SINGLE)),
        *(_task(fleet, workload, network, 5, 60.0) for workload in NETWORKS if not workload.bars),
    ]
    return [task for task in made if task.priority < 5] if quick else made


def rehearsed(fleet: Fleet) -> list[Task]:
    """Return the same with small workloads."""
    return [_task(fleet, workload, Effort(2, 0.01, 0.0, 0.005), 1, 10.0) for workload in REHEARSED]


def _task(fleet: Fleet, workload: Workload, effort: Effort, priority: int, seconds: float) -> Task:
    def run() -> Record:
        outcomes = measure(fleet, workload, effort, tolerance_of(workload))
        failures = {name: outcome.failure for name, outcome in outcomes.items() if outcome.failure is not None}
        different = [name for name, outcome in outcomes.items() if outcome.results and not outcome.same_work]
        line = ", ".join(f"{name} {milliseconds(outcome)}" for name, outcome in outcomes.items()) + " ms"
        ours_failed = any(name.startswith("ours") for name in (*failures, *different))
        record = Record("bench", workload.name, workload.title, "fail" if ours_failed else "pass", line)
        record.data = {name: _numbers(outcome) for name, outcome in outcomes.items()}
        record.trace = "\n".join(f"{name}: {failure}" for name, failure in failures.items())
        return record

    return Task("bench", workload.name, workload.title, run, seconds, priority, type(workload).__name__)


def _numbers(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON values, which know no infinity."""
    deviation = outcome.deviation
    return asdict(outcome) | {"deviation": "infinite" if deviation == float("inf") else deviation}


def outcome_of(numbers: dict[str, Any]) -> Outcome:
    """Return the outcome of which these are the numbers."""
    deviation = numbers["deviation"]
    return Outcome(**numbers | {"deviation": float("inf") if deviation == "infinite" else deviation})
