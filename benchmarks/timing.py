"""Timing side by side: the contestants take turns, round after round, so that a slow moment hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import make_arrays, save_arrays
from .contestants import OURS, Contestant, start
from .environments import PeerMissingError
from .protocol import Worker, WorkerError
from .workloads import Network, Workload

PREPARE_TIMEOUT = 900.0
TURN_TIMEOUT = 300.0

TOLERANCE = 1e-2
"""How far a peer's results may be from ours to count as the same work; see `deviation`.

Rounding in another order stays well below it; a momentum or a variance that means something else does not.
"""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        rounds: turns of each contestant.
        turn_seconds: about how long a turn takes.
        pause: seconds between turns, in which the threads of the one before go to sleep.
        sample_seconds: how long a sample takes at least: long enough for the clock.
    """

    rounds: int = 15
    turn_seconds: float = 0.2
    pause: float = 0.05
    sample_seconds: float = 2e-3


@dataclass
class Outcome:
    """What one contestant did on one workload.

    Args:
        rounds: seconds per step: the median of each round.
        results: losses, or fingerprints of arrays.
        deviation: largest difference of the results from ours; see `deviation`.
        failure: why there is nothing.
        tolerance: the largest deviation of the same work.
    """

    rounds: list[float] = field(default_factory=list)
    results: list[float] = field(default_factory=list)
    deviation: float | None = None
    failure: str | None = None
    tolerance: float = TOLERANCE

    @property
    def median(self) -> float | None:
        """The median of the rounds, in seconds."""
        return statistics.median(self.rounds) if self.rounds else None

    @property
    def quartiles(self) -> tuple[float, float] | None:
        """The first and third quartile of the rounds, in seconds."""
        if len(self.rounds) < 2:
            return None
        first, _, third = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return first, third

    @property
    def same_work(self) -> bool:
        """Whether the results agree with ours."""
        return self.deviation is not None and self.deviation <= self.tolerance


def deviation(results: list[float], reference: list[float], losses: bool) -> float:
    """Return the largest difference between results, or infinity where they cannot be compared.

    Losses are compared on the scale of their change from the first step to the last, which is what the weights'
    updates do; other numbers each on its own scale.
    """
    if len(results) != len(reference) or not np.isfinite([*results, *reference]).all():
        return float("inf")
    scale = np.full(len(reference), np.ptp(reference)) if losses else np.abs(reference)
    return float(np.max(np.abs(np.subtract(results, reference)) / np.maximum(scale, 1e-12)))


class Fleet:
    """The workers of all contestants, each started when first needed and again when it has ended.

    Args:
        contestants: who takes part, ours among them.
        threads: threads of each.
        folder: takes arrays and the workers' logs.
        tell: shows a line of progress.
    """

    def __init__(self, contestants: list[Contestant], threads: int, folder: Path, tell: Callable[[str], None]) -> None:
        self.contestants = contestants
        self.threads = threads
        self.folder = folder
        self.tell = tell
        self.missing: dict[str, str] = {}
        self.about: dict[str, dict[str, Any]] = {}
        self.idle: dict[str, tuple[float, float]] = {}  # processor time and time that each worker idled, in seconds
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def idle_share(self) -> float | None:
        """Return the share of a core that a worker uses while others have their turn; the largest of all workers."""
        return max((round(used / waited, 3) for used, waited in self.idle.values() if waited), default=None)

    def invited(self, workload: Workload) -> list[Contestant]:
        """Return the contestants that take part in a workload and can be had."""
        return [
            c
            for c in self.contestants
            if c.name not in self.missing and (not c.peer or {c.name, c.peer} & {*workload.peers})
        ]

    def fresh(self, contestant: Contestant) -> Worker:
        """Return a new worker, which the caller closes.

        Raises:
            PeerMissingError: its environment cannot be made, or its worker does not start.
        """
        worker = self.start(contestant, self.folder / f"{contestant.name}.log")
        try:
            self.about[contestant.name] = worker.ask({"do": "about"}, PREPARE_TIMEOUT)
        except WorkerError as error:
            worker.close()
            raise PeerMissingError(f"{contestant.name} cannot be started: {error}") from None
        return worker

    def start(self, contestant: Contestant, log: Path) -> Worker:
        """Start a contestant's worker; PeerMissingError where its environment cannot be made."""
        return start(contestant, self.threads, log, self.tell)

    def worker(self, contestant: Contestant) -> Worker:
        """Return the contestant's worker; errors as in `fresh`."""
        if contestant.name not in self._workers:
            self._workers[contestant.name] = self.fresh(contestant)
        return self._workers[contestant.name]

    def ask(self, contestant: Contestant, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Ask a contestant's worker.

        Raises:
            WorkerError: no answer, or an error; a worker that has ended is started again for the next workload.
            PeerMissingError: it cannot be had at all; it is not asked again.
        """
        try:
            worker = self.worker(contestant)
        except PeerMissingError as error:
            self.missing[contestant.name] = str(error)
            raise
        try:
            return worker.ask(request, timeout)
        except WorkerError:
            if not worker.alive:
                del self._workers[contestant.name]
            raise

    def arrays_of(self, workload: Workload) -> dict[str, str]:
        """Return what a request says of a workload; its arrays are written to a file if they are not there yet."""
        path = self.folder / f"{workload.name.replace('/', '-').replace(' ', '_')}.npz"
        if not path.exists():
            save_arrays(path, make_arrays(workload))
        return {"workload": workload.name, "arrays": str(path)}


def measure(fleet: Fleet, workload: Workload, effort: Effort, tolerance: float = TOLERANCE) -> dict[str, Outcome]:
    """Return what every contestant did on a workload; results count as the same work up to a tolerance."""
    request = {"do": "prepare", **fleet.arrays_of(workload)}
    outcomes: dict[str, Outcome] = {}
    for contestant in fleet.invited(workload):
        outcome = outcomes[contestant.name] = Outcome(tolerance=tolerance)
        try:
            outcome.results = fleet.ask(contestant, request, PREPARE_TIMEOUT)["results"]
        except (WorkerError, PeerMissingError) as error:
            outcome.failure = str(error)
    reference = outcomes[OURS.name].results if OURS.name in outcomes else []
    for outcome in outcomes.values():
        if outcome.results and reference:
            losses = isinstance(workload, Network) and workload.mode == "train"
            outcome.deviation = deviation(outcome.results, reference, losses)
    running = [c for c in fleet.contestants if c.name in outcomes and outcomes[c.name].failure is None]
    _take_turns(fleet, running, outcomes, effort)
    return outcomes


def plan(seconds: float, effort: Effort) -> dict[str, int]:
    """Return how many samples a turn takes, each the mean of how many steps, for steps of this length.

    A sample is long enough for the clock, a turn about as long as wanted.
    """
    inner = max(1, round(effort.sample_seconds / seconds))
    return {"inner": inner, "samples": max(1, min(50, round(effort.turn_seconds / (seconds * inner))))}


def _take_turns(fleet: Fleet, running: list[Contestant], outcomes: dict[str, Outcome], effort: Effort) -> None:
    plans: dict[str, dict[str, int]] = {}
    idle_since: dict[str, tuple[float, float]] = {}

    def turn(contestant: Contestant) -> list[float]:
        worker = fleet.worker(contestant)
        used, now = worker.processor_seconds(), time.monotonic()
        if used is not None and contestant.name in idle_since:
            used_before, before = idle_since[contestant.name]
            total_used, total = fleet.idle.get(contestant.name, (0.0, 0.0))
            fleet.idle[contestant.name] = total_used + used - used_before, total + now - before
        request = {"do": "time", **plans.get(contestant.name, {"samples": 2, "inner": 1})}
        seconds: list[float] = fleet.ask(contestant, request, TURN_TIMEOUT)["seconds"]
        time.sleep(effort.pause)
        used = worker.processor_seconds()
        if used is not None:
            idle_since[contestant.name] = used, time.monotonic()
        return seconds

    for number in range(-1, effort.rounds):
        shift = number % len(running) if running else 0
        for contestant in running[shift:] + running[:shift]:
            outcome = outcomes[contestant.name]
            if outcome.failure is not None:
                continue
            try:
                seconds = turn(contestant)
            except (WorkerError, PeerMissingError) as error:
                outcome.failure = str(error)
                outcome.rounds.clear()
                continue
            if number < 0:  # the first turn tells how long a step takes
                plans[contestant.name] = plan(min(seconds), effort)
            else:
                outcome.rounds.append(statistics.median(seconds))
